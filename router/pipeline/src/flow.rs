//! Sharing models: who waits for whom, in which order, and what each lane carries.

mod bill;
pub mod flow_cell;
pub mod lane;
mod pace;
mod pacer;
mod picture;
pub mod pool;
mod preempt;
mod registry;
pub mod slots;
mod tenants;
pub mod turn;
pub mod waiter;

pub(crate) use self::bill::{Asked, Bill};
pub(crate) use self::preempt::Run;
pub(crate) use self::registry::Registry;
pub(crate) use self::tenants::Tenants;
