//! `planner init`: makes or updates the status tables in every target database of the configuration.

use thaw_config::Config;
use thaw_status::{Migrated, StoreError};

use crate::exit::Exit;
use crate::output;
use crate::session::Session;

/// Every database is tried, also after one has failed.
pub async fn execute(config: &Config) -> Exit {
    let session = match Session::new(config) {
        Ok(session) => session,
        Err(error) => {
            output::complaint(format!("error: snowflake: {error}"));
            return Exit::Configuration;
        }
    };
    let mut exit = Exit::Completed;
    for database in session.pools.databases() {
        match migrate(&session, &database).await {
            Ok(done) => output::result(format!("{database}: {done}")),
            Err(error) => {
                output::complaint(format!("error: database \"{database}\": {error}"));
                if matches!(error, StoreError::SchemaDenied { .. }) {
                    output::complaint("the SQL to apply follows on stdout");
                    output::result(thaw_status::schema_sql());
                }
                exit = Exit::Configuration;
            }
        }
    }
    exit
}

async fn migrate(session: &Session, database: &str) -> Result<Migrated, StoreError> {
    let mut client = session.pools.pool(database)?.get().await?;
    thaw_status::migrate(&mut client).await
}
