//! The target databases of this process: connections by purpose, and the plans read from them.
//!
//! A message gives a database's name only; the configuration gives the connection.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thaw_config::Config;
use thaw_model::{TableId, WorkerId};
use thaw_postgres::{PgError, PoolSet};
use thaw_status::{ClaimedChunk, StoreError, StoredPlan};

use crate::connections;

/// Plans kept in memory; a run has hundreds of tables at most, and a plan is some 20 KB.
const PLANS_KEPT: usize = 512;

/// Starts, and finalizes, at a time; each holds a control connection for as long as its statements take.
pub const TABLES_AT_A_TIME: usize = 2;

/// Connections to every target database. Clones share them.
#[derive(Debug, Clone)]
pub struct Databases {
    /// For loads, one a slot and a few.
    loads: PoolSet,
    /// For heartbeats, which must not wait behind loads.
    beats: PoolSet,
    /// For claims, settlements, redispatch and finalizing: a worker whose loads are busy can still tell.
    control: PoolSet,
    plans: Arc<Mutex<Plans>>,
}

/// By database, table and version of the plan.
type Plans = HashMap<(String, TableId, i32), Arc<StoredPlan>>;

impl Databases {
    /// Connects to nothing yet.
    #[must_use]
    pub fn new(config: &Config, worker: &WorkerId, slots: usize) -> Self {
        Self {
            loads: connections::pools(config, worker, slots),
            beats: connections::pools(config, worker, 0),
            control: connections::pools(config, worker, slots.min(4) + 2 * TABLES_AT_A_TIME),
            plans: Arc::default(),
        }
    }

    /// Whether a message may name this database.
    #[must_use]
    pub fn knows(&self, database: &str) -> bool {
        self.control.knows(database)
    }

    /// The databases, in name order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.control.databases()
    }

    /// The pools of heartbeats.
    #[must_use]
    pub fn beats(&self) -> &PoolSet {
        &self.beats
    }

    /// The pools of everything that is short.
    #[must_use]
    pub fn control(&self) -> &PoolSet {
        &self.control
    }

    /// A connection for short statements.
    ///
    /// # Errors
    /// The database is unknown, unreachable or busy.
    pub async fn client(&self, database: &str) -> Result<thaw_postgres::Client, PgError> {
        self.control.pool(database)?.get().await
    }

    /// A connection for a load.
    ///
    /// # Errors
    /// As [`Self::client`].
    pub async fn load_connection(&self, database: &str) -> Result<LoadConnection, PgError> {
        Ok(LoadConnection { client: Some(self.loads.pool(database)?.get().await?) })
    }

    /// The plan of a claimed chunk's table, from memory where its version is known.
    ///
    /// # Errors
    /// What PostgreSQL says. `None`: there is no plan.
    pub async fn plan(
        &self,
        database: &str,
        claimed: &ClaimedChunk,
    ) -> Result<Option<Arc<StoredPlan>>, StoreError> {
        let key = (database.to_owned(), claimed.id.table, claimed.plan_version);
        if let Some(plan) = self.plans().get(&key) {
            return Ok(Some(Arc::clone(plan)));
        }
        let client = self.client(database).await?;
        let Some(stored) = thaw_status::read_plan(&client, claimed.id.table).await? else {
            return Ok(None);
        };
        let stored = Arc::new(stored);
        if stored.version == claimed.plan_version {
            let mut plans = self.plans();
            if plans.len() >= PLANS_KEPT {
                plans.clear();
            }
            plans.insert(key, Arc::clone(&stored));
        }
        Ok(Some(stored))
    }

    fn plans(&self) -> MutexGuard<'_, Plans> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that goes back to its pool only when its load says so. One that is dropped in the middle of a load is
/// closed: its statement may still run, and whoever got it next would wait for that.
#[derive(Debug)]
pub struct LoadConnection {
    /// `None` once given back.
    client: Option<thaw_postgres::Client>,
}

impl LoadConnection {
    /// The load has ended and its transaction with it.
    pub fn give_back(mut self) {
        drop(self.client.take());
    }
}

impl Drop for LoadConnection {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(deadpool_postgres::Object::take(client));
        }
    }
}

impl Deref for LoadConnection {
    type Target = tokio_postgres::Client;

    #[expect(clippy::expect_used, reason = "`give_back` and `drop` consume the only value without a client")]
    fn deref(&self) -> &Self::Target {
        self.client.as_ref().expect("not given back")
    }
}

impl DerefMut for LoadConnection {
    #[expect(clippy::expect_used, reason = "`give_back` and `drop` consume the only value without a client")]
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.client.as_mut().expect("not given back")
    }
}
