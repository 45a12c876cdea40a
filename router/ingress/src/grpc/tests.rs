//! The gRPC surface on a real HTTP/2 connection, by the generated client, in front of a gateway that is played by hand.

mod asked;
mod beside;
mod refused;
mod scene;
mod streams;
