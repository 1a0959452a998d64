//! Compiles our own `.proto` files with protox (no protoc needed) into prost messages and a descriptor set for JSON.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 2] = ["proto/livekit_rtc.proto", "proto/livekit_room.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(kith_published_protocol)");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    prost_build::Config::new()
        // Byte strings are passed on, not changed: `Bytes` lets one buffer serve many receivers.
        .bytes(["."])
        // A fixed order of map entries makes encodings of equal messages equal.
        .btree_map(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
