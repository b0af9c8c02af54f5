//! Sealing: what the store keeps can be read and changed by nobody without the key.

mod envelope;
mod key_file;
mod key_ring;

pub use envelope::{Opened, SealError, Sealer};
pub use key_ring::{KeyId, KeyRing, KeyRingError, SealingKey};
