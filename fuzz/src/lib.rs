//! What the fuzz targets do with their bytes. The functions are plain, so that tests on a stable compiler run them
//! too: `crates/jose/tests/properties.rs` over the corpus and over changed copies of it.

pub mod dpop;
pub mod jose;
