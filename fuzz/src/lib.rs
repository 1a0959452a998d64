//! What the fuzz targets do with their bytes: one module for each crate, one function for each target. The functions
//! assert what must hold for any input; the crates' own tests run them on random bytes too.

pub mod media;
pub mod sdp;
pub mod signal;
pub mod transport;
