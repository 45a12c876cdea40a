//! The rooms of the house: which crate may know which. The reasons are in ARCHITECTURE.md; an arrow
//! that is not here does not exist.

/// One crate of the workspace.
#[derive(Debug)]
pub(crate) struct Room {
    /// The package.
    pub(crate) name: &'static str,
    /// The folder of its manifest.
    pub(crate) folder: &'static str,
    /// Packages of this workspace that it may depend on, in any section of its manifest.
    pub(crate) may: &'static [&'static str],
    /// Packages from outside that would break what the room promises (no clock, no socket, no task).
    pub(crate) never: &'static [&'static str],
}

/// What a room without I/O may not link outside its tests.
const PURE: &[&str] = &["tokio", "hyper", "hyper-util", "h2", "rustls", "tokio-rustls", "rusqlite", "socket2"];

/// What only the rooms at the wire may link.
const WIRELESS: &[&str] = &["hyper", "hyper-util", "h2", "rustls", "tokio-rustls", "rusqlite", "socket2"];

/// Every room, the quiet ones first.
pub(crate) const ROOMS: &[Room] = &[
    Room { name: "atp-proto", folder: "proto", may: &[], never: PURE },
    Room { name: "atp-core", folder: "router/core", may: &[], never: PURE },
    Room { name: "atp-privacy", folder: "router/privacy", may: &[], never: PURE },
    Room { name: "atp-dialects", folder: "router/dialects", may: &["atp-core"], never: PURE },
    Room { name: "atp-routing", folder: "router/routing", may: &["atp-core"], never: PURE },
    Room { name: "atp-pipeline", folder: "router/pipeline", may: &["atp-core", "atp-routing"], never: WIRELESS },
    Room {
        name: "atp-ingress",
        folder: "router/ingress",
        may: &["atp-core", "atp-dialects", "atp-proto"],
        never: &["rusqlite"],
    },
    Room {
        name: "atp-adapters",
        folder: "adapters",
        may: &["atp-core", "atp-privacy", "atp-dialects", "atp-proto"],
        never: &["rusqlite"],
    },
    Room { name: "atp-store", folder: "router/store", may: &["atp-core"], never: &["hyper", "hyper-util"] },
    Room { name: "atp-admin", folder: "router/admin", may: &["atp-core"], never: &["rusqlite"] },
    Room { name: "atp-telemetry", folder: "observability", may: &["atp-core"], never: WIRELESS },
    Room {
        name: "atp-server",
        folder: "router/server",
        may: &[
            "atp-proto",
            "atp-core",
            "atp-privacy",
            "atp-dialects",
            "atp-routing",
            "atp-pipeline",
            "atp-ingress",
            "atp-admin",
            "atp-store",
            "atp-adapters",
            "atp-telemetry",
        ],
        never: &["rusqlite"],
    },
    Room { name: "atp-lab", folder: "bench/lab", may: &["atp-core", "atp-routing"], never: PURE },
    Room { name: "atp-bench", folder: "bench", may: &[], never: &[] },
    Room {
        name: "atp",
        folder: "cli",
        may: &["atp-server", "atp-routing", "atp-adapters", "atp-bench"],
        never: &["hyper", "rusqlite"],
    },
    Room { name: "xtask", folder: "xtask", may: &[], never: &["tokio", "hyper"] },
];
