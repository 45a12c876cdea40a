//! The protocol files of `proto/atp`, as types, clients and servers.
//!
//! The files are the truth, this crate only what a compiler makes of them. It knows nothing of routing and
//! does no I/O: who uses a client or a server brings the connection.

/// Adapters as processes of their own, and how they make themselves known.
pub mod adapter {
    /// The first version.
    pub mod v1 {
        tonic::include_proto!("atp.adapter.v1");
    }
}

/// The router, as its callers see it.
pub mod router {
    /// The first version.
    pub mod v1 {
        tonic::include_proto!("atp.router.v1");
    }
}

/// What all the files declare, as protobuf's own descriptors: for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/atp.descriptors"));
