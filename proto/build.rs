//! Makes code of the protocol files, without a `protoc` on the machine.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

/// Every file that somebody imports from outside; what these import comes with them.
const FILES: [&str; 3] =
    ["atp/adapter/v1/adapter.proto", "atp/adapter/v1/registry.proto", "atp/router/v1/router.proto"];

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script by the environment where to write")]
fn main() -> Result<(), Box<dyn Error>> {
    let files = protox::compile(FILES, ["."])?;
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("atp.descriptors"), files.encode_to_vec())?;
    // Bodies are shared with the buffer that they arrived in.
    tonic_prost_build::configure().bytes(".").build_transport(false).compile_fds(files)?;
    Ok(())
}
