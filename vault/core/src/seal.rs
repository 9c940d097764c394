//! Sealing of values: the one place where a plain value becomes a sealed one, and back.
//!
//! XChaCha20-Poly1305 with random 24-byte nonces. Each sealed value is bound to its place: cluster, kind,
//! object, version and epoch (`docs/formats.md`, "Sealed values"). Which key belongs to an epoch is the
//! shell's to know.

use std::iter::repeat_n;
use std::sync::Arc;

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize, Zeroizing};

use crate::id::{ClusterId, ObjectId};
use crate::limits::{CONFIG_BYTES_END, SECRET_BYTES_END};
#[cfg(planted)]
use crate::planted::{self, Bug};
use crate::versioned::Class;

/// Bytes of a data key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 24;
/// Bytes that sealing adds.
pub const TAG_BYTES: usize = 16;

/// How far below its caller `wipe_stack` overwrites: twice what the cipher was seen to use without
/// optimization.
const STACK_WIPED_BYTES: usize = 16 << 10;

/// The generation of a data key, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u32);

/// Tells the key of an epoch from any other, and nothing of what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyDigest(pub [u8; 32]);

/// A value in the clear. Has no Debug, Clone or comparison, on purpose.
pub struct Plaintext(Zeroizing<Box<[u8]>>);

/// A value that Swarm's limits do not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class} data must be larger than 0 and less than {end} bytes")]
pub struct ValueSizeError {
    class: Class,
    end: usize,
}

impl Plaintext {
    /// Takes the bytes over; they are wiped with this value.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes.into_boxed_slice()))
    }

    /// The same, if a secret (1 to 511,999 bytes) or a config (1 to 1,023,999 bytes) may have this value.
    pub fn checked(self, class: Class) -> Result<Self, ValueSizeError> {
        let end = match class {
            Class::Secret => SECRET_BYTES_END,
            Class::Config => CONFIG_BYTES_END,
        };
        let fits = (1..end).contains(&self.expose().len());
        if fits { Ok(self) } else { Err(ValueSizeError { class, end }) }
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// A data key that lives elsewhere, in guarded pages.
#[derive(Clone, Copy)]
pub struct DataKey<'a> {
    /// Which generation it is.
    pub epoch: Epoch,
    /// Its bytes.
    pub bytes: &'a [u8; KEY_BYTES],
}

/// What a sealed value is. The numbers are sealed along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    SecretValue,
    RootKey,
    WorkerToken,
    ManagerToken,
    ConfigValue,
    UnlockKey,
}

impl Kind {
    /// The cluster's own values.
    pub const OWN: [Self; 4] =
        [Self::RootKey, Self::WorkerToken, Self::ManagerToken, Self::UnlockKey];

    /// The number that is sealed along.
    pub const fn number(self) -> u8 {
        match self {
            Self::SecretValue => 1,
            Self::RootKey => 2,
            Self::WorkerToken => 3,
            Self::ManagerToken => 4,
            Self::ConfigValue => 5,
            Self::UnlockKey => 6,
        }
    }
}

/// Where a sealed value belongs. Opening it as if it belonged elsewhere fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub cluster: ClusterId,
    pub kind: Kind,
    pub object: ObjectId,
    pub version: u32,
}

impl Place {
    /// What is authenticated along with the value. Every part has a fixed length.
    fn associated_data(&self, epoch: Epoch) -> Vec<u8> {
        #[cfg(planted)]
        if planted::on(Bug::SealedWithoutItsPlace) {
            return Vec::new();
        }
        let mut data = Vec::with_capacity(80);
        data.extend_from_slice(b"coffer value v1\0");
        data.extend_from_slice(self.cluster.object().as_bytes());
        data.push(self.kind.number());
        data.extend_from_slice(self.object.as_bytes());
        data.extend_from_slice(&self.version.to_le_bytes());
        data.extend_from_slice(&epoch.0.to_le_bytes());
        data
    }
}

/// A sealed value. Says nothing but its length, so it may be shown and compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Which data key opens it.
    pub epoch: Epoch,
    pub nonce: [u8; NONCE_BYTES],
    /// The text and its tag.
    pub text: Arc<[u8]>,
}

impl Sealed {
    /// Bytes of the value inside.
    pub fn value_len(&self) -> usize {
        self.text.len().saturating_sub(TAG_BYTES)
    }
}

/// A sealed value that does not open: another key, another place, or altered bytes. Which of them is
/// not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sealed value does not open")]
pub struct OpenError;

/// Seals a value for its place. The nonce must never have been used before; random ones never are.
///
/// # Panics
/// Never: a value is far below the cipher's limit of 256 GiB.
pub fn seal(
    key: DataKey<'_>,
    place: &Place,
    nonce: [u8; NONCE_BYTES],
    value: &Plaintext,
) -> Sealed {
    let value = value.expose();
    // Sealed where it stays: a copy would have to be wiped.
    let mut text: Arc<[u8]> = repeat_n(0, value.len().saturating_add(TAG_BYTES)).collect();
    let whole = Arc::get_mut(&mut text).expect("nobody else has seen it yet");
    let (place_of_value, place_of_tag) =
        whole.split_last_chunk_mut::<TAG_BYTES>().expect("there is room for a tag");
    place_of_value.copy_from_slice(value);
    let tag = encrypt(key, place, nonce, place_of_value);
    wipe_stack();
    place_of_tag.copy_from_slice(&tag);
    Sealed { epoch: key.epoch, nonce, text }
}

/// Never a part of its caller, whose own frame `wipe_stack` does not reach.
#[inline(never)]
fn encrypt(
    key: DataKey<'_>,
    place: &Place,
    nonce: [u8; NONCE_BYTES],
    text: &mut [u8],
) -> [u8; TAG_BYTES] {
    let data = place.associated_data(key.epoch);
    XChaCha20Poly1305::new(key.bytes.into())
        .encrypt_inout_detached(&XNonce::from(nonce), &data, text.into())
        .expect("a value is far below the cipher's limit of 256 GiB")
        .into()
}

/// Overwrites the stack below the caller. Ciphers leave blocks of the text and keys made from the data
/// key there, and whatever is built on it next carries them on, in bytes that it does not use itself.
#[inline(never)]
pub fn wipe_stack() {
    let mut below = [0_u64; STACK_WIPED_BYTES / size_of::<u64>()];
    below.zeroize();
    std::hint::black_box(&below);
}

/// Opens a sealed value into a buffer of exactly `value_len()` bytes, all or nothing: on failure the
/// buffer holds zeros.
pub fn open_into(
    key: DataKey<'_>,
    place: &Place,
    sealed: &Sealed,
    value: &mut [u8],
) -> Result<(), OpenError> {
    let (text, tag) = sealed.text.split_last_chunk::<TAG_BYTES>().ok_or(OpenError)?;
    if key.epoch != sealed.epoch || value.len() != text.len() {
        return Err(OpenError);
    }
    value.copy_from_slice(text);
    let is_open = decrypt(key, place, sealed.nonce, *tag, value);
    wipe_stack();
    if !is_open {
        value.fill(0);
        return Err(OpenError);
    }
    Ok(())
}

/// As `encrypt`, for the same reason.
#[inline(never)]
fn decrypt(
    key: DataKey<'_>,
    place: &Place,
    nonce: [u8; NONCE_BYTES],
    tag: [u8; TAG_BYTES],
    text: &mut [u8],
) -> bool {
    let data = place.associated_data(key.epoch);
    let (nonce, tag) = (XNonce::from(nonce), Tag::from(tag));
    let cipher = XChaCha20Poly1305::new(key.bytes.into());
    cipher.decrypt_inout_detached(&nonce, &data, text.into(), &tag).is_ok()
}

/// Opens a sealed value.
pub fn open(key: DataKey<'_>, place: &Place, sealed: &Sealed) -> Result<Plaintext, OpenError> {
    let mut value = Zeroizing::new(vec![0; sealed.value_len()].into_boxed_slice());
    open_into(key, place, sealed, &mut value)?;
    Ok(Plaintext(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use static_assertions::assert_not_impl_any;
    use std::fmt::{Debug, Display};

    assert_not_impl_any!(Plaintext: Debug, Display, Clone, PartialEq);
    assert_not_impl_any!(DataKey<'static>: Debug, Display, PartialEq);

    const KEY: DataKey<'static> = DataKey { epoch: Epoch(3), bytes: &[7; KEY_BYTES] };

    fn place() -> Place {
        Place {
            cluster: ClusterId::from_entropy([1; 17]),
            kind: Kind::SecretValue,
            object: ObjectId::from_entropy([2; 17]),
            version: 1,
        }
    }

    fn sealed() -> Sealed {
        seal(KEY, &place(), [9; NONCE_BYTES], &Plaintext::new(b"value".to_vec()))
    }

    #[test]
    fn a_sealed_value_opens_at_its_place() {
        assert_eq!(open(KEY, &place(), &sealed()).unwrap().expose(), b"value");
    }

    #[test]
    fn a_value_is_sealed_as_it_always_was() {
        // Checked against another implementation of the cipher.
        let hex = sealed().text.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>();
        assert_eq!(hex.concat(), "c8138eff19010ccbdea8dbfb255b2725c3ea5337bb");
        let data = place().associated_data(Epoch(3));
        assert_eq!(data.len(), 16 + 25 + 1 + 25 + 4 + 4);
        assert_eq!(&data[..16], b"coffer value v1\0");
        assert_eq!(data[data.len() - 8..], [1, 0, 0, 0, 3, 0, 0, 0]);
    }

    #[test]
    fn case_28_a_sealed_value_opens_nowhere_else() {
        let here = place();
        for there in [
            Place { cluster: ClusterId::from_entropy([8; 17]), ..here },
            Place { kind: Kind::RootKey, ..here },
            Place { object: ObjectId::from_entropy([8; 17]), ..here },
            Place { version: 2, ..here },
        ] {
            assert!(open(KEY, &there, &sealed()).is_err(), "{there:?}");
        }
        for key in [DataKey { epoch: Epoch(4), ..KEY }, DataKey { bytes: &[8; KEY_BYTES], ..KEY }] {
            assert!(open(key, &here, &sealed()).is_err(), "epoch {:?}", key.epoch);
        }
    }

    #[test]
    fn case_27_a_flipped_byte_is_refused_and_leaves_nothing_behind() {
        for at in 0..sealed().text.len() {
            let mut text = sealed().text.to_vec();
            text[at] ^= 1;
            let mut value = [1; 5];
            let altered = Sealed { text: text.into(), ..sealed() };
            assert_eq!(open_into(KEY, &place(), &altered, &mut value), Err(OpenError), "byte {at}");
            assert_eq!(value, [0; 5], "byte {at}");
        }
    }

    #[test]
    fn text_shorter_than_a_tag_is_refused() {
        let short = Sealed { text: Arc::from([1_u8; 15].as_slice()), ..sealed() };
        assert!(open(KEY, &place(), &short).is_err());
    }

    #[test]
    fn values_keep_swarms_limits() {
        use Class::{Config, Secret};
        for (class, len, fits) in [
            (Secret, 0, false),
            (Secret, 1, true),
            (Secret, 511_999, true),
            (Secret, 512_000, false),
            (Config, 0, false),
            (Config, 1_023_999, true),
            (Config, 1_024_000, false),
        ] {
            assert_eq!(
                Plaintext::new(vec![1; len]).checked(class).is_ok(),
                fits,
                "{class} {len} bytes"
            );
        }
    }

    #[test]
    fn kinds_keep_their_numbers_and_a_cluster_has_four_values_of_its_own() {
        use Kind::{ConfigValue, ManagerToken, RootKey, SecretValue, UnlockKey, WorkerToken};
        let all = [SecretValue, RootKey, WorkerToken, ManagerToken, ConfigValue, UnlockKey];
        assert_eq!(all.map(Kind::number), [1, 2, 3, 4, 5, 6]);
        let own = all.into_iter().filter(|kind| ![SecretValue, ConfigValue].contains(kind));
        assert!(own.eq(Kind::OWN));
    }

    #[test]
    fn a_buffer_of_another_length_is_refused_and_left_alone() {
        assert_eq!(sealed().value_len(), 5);
        for length in [0, 4, 6] {
            let mut value = vec![1; length];
            assert_eq!(open_into(KEY, &place(), &sealed(), &mut value), Err(OpenError), "{length}");
            assert_eq!(value, vec![1; length]);
        }
    }
}
