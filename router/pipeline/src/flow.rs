//! Sharing models: who waits for whom, in which order, and what each lane carries.

mod tenants;

pub(crate) use self::tenants::Tenants;
