//! The contract of the queue, held by both implementations, and what RabbitMQ alone can do to us.

mod proofs;
mod proxy;
mod rabbit_faults;
mod rabbit_tls;
mod rigs;
mod suite;
