//! `--local`: the worker's code in the planner's process, over a queue inside it.

use thaw_config::Config;
use thaw_queue::in_process::InProcessQueue;
use thaw_worker::{Exit, Queue, Shutdown, WorkerError, WorkerOptions, run_worker};

/// A queue, and the worker that takes from it until `shutdown`.
#[derive(Debug)]
pub struct LocalWorker {
    queue: InProcessQueue,
    options: WorkerOptions,
}

impl LocalWorker {
    /// `parallel_threads` slots, no HTTP endpoints.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let slots = config.parallel_threads.max(1);
        let options = WorkerOptions { slots, max_runtime: None, listen: None };
        Self { queue: InProcessQueue::new(), options }
    }

    /// Where the planner publishes.
    #[must_use]
    pub fn publisher(&self) -> impl thaw_queue::Publisher {
        self.queue.publisher()
    }

    /// Works until told to stop, and drains.
    ///
    /// # Errors
    /// What keeps a worker from beginning.
    pub async fn run(&self, config: &Config, shutdown: Shutdown) -> Result<Exit, WorkerError> {
        let consumer = self.queue.consumer(self.options.slots);
        let ends = Queue { publisher: self.queue.publisher(), consumer };
        run_worker(config, &self.options, ends, shutdown).await
    }
}
