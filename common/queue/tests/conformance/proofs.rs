//! Proofs for tests, got as the product gets them: from the status store.

use thaw_harness::TestDatabase;
use thaw_model::{ChunkId, Job, RunId, TableId, WorkerId};
use thaw_queue::Recorded;
use thaw_status::Claim;
use tokio_postgres::Client;

/// A scratch status store without a run: it answers every claim with the proof that the chunk is not ours.
pub(crate) struct Proofs {
    client: Client,
    worker: WorkerId,
    _database: TestDatabase,
}

impl Proofs {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::create().await;
        let mut client = database.connect().await.expect("connects");
        thaw_status::migrate(&mut client).await.expect("migrates");
        Self { client, worker: WorkerId::generate("test"), _database: database }
    }

    pub(crate) async fn of(&self, job: &Job) -> Recorded {
        let Job::Chunk { run, chunk, .. } = job else { panic!("the suite acknowledges chunks only") };
        match thaw_status::claim(&self.client, *run, *chunk, &self.worker).await.expect("claims") {
            Claim::NotClaimable(proof) => proof,
            Claim::Claimed(_) => panic!("no such chunk was ever planned"),
        }
    }
}

/// As many jobs of one run, numbered from 0.
pub(crate) fn jobs(count: i32) -> Vec<Job> {
    let run = RunId::generate();
    (0..count)
        .map(|number| Job::Chunk {
            database: "target".to_owned(),
            run,
            chunk: ChunkId { table: TableId(1), number },
        })
        .collect()
}
