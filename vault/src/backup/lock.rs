//! The seal around a backup: the age format, to recipients or under a passphrase. Nothing else knows age.

use std::cell::Cell;
use std::io::{self, BufReader, Read, Write};
use std::iter;
use std::rc::Rc;

use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, Encryptor, Identity, IdentityFile, Recipient};
use vault_core::limits::{BACKUP_RECIPIENTS_MAX, PASSPHRASE_BYTES_MIN};
use zeroize::Zeroizing;

/// scrypt's cost as a power of two: age's own choice, about a second and 256 MiB.
const WORK_FACTOR: u8 = 18;
/// A file that asks for more work than this to try a passphrase is refused: four times as much.
const WORK_FACTOR_MAX: u8 = 20;

/// Bytes of a file's start, which names whom it is sealed for: a hundred recipients and half as many again. Past them
/// nothing is read to find its end.
const START_BYTES_MAX: u64 = 16 << 10;

/// A file that is opened: what is read from it is what was sealed.
pub(super) type Opened<R> = age::stream::StreamReader<BufReader<Bounded<R>>>;

/// Whom a backup is sealed for. Has no Debug, Clone or comparison, on purpose.
pub enum Lock {
    Recipients(Vec<Box<dyn Recipient + Send>>),
    Passphrase(SecretString),
}

/// What a backup is opened with. Has no Debug, Clone or comparison, on purpose.
pub enum Key {
    Identities(Vec<Box<dyn Identity + Send + Sync>>),
    Passphrase(SecretString),
}

/// What cannot be sealed for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    #[error("a backup needs recipients or a passphrase")]
    Nothing,
    #[error("a backup is sealed to recipients or under a passphrase, not both")]
    Both,
    #[error("recipient {number} is no public key of age (age1...)")]
    Recipient { number: usize },
    #[error("{count} recipients, at most {BACKUP_RECIPIENTS_MAX} are taken")]
    TooMany { count: usize },
    #[error(
        "the passphrase has fewer than {PASSPHRASE_BYTES_MIN} bytes: it keeps all that the cluster keeps"
    )]
    Short,
    #[error("the passphrase is not UTF-8")]
    NotText,
    #[error("these recipients do not go together")]
    Together,
}

/// What cannot be opened with.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("a backup is opened with an age identity or a passphrase")]
    Nothing,
    #[error("a backup is opened with an age identity or a passphrase, not both")]
    Both,
    #[error("the identity does not read: lines of AGE-SECRET-KEY-1... are expected")]
    Identity,
    #[error("the passphrase is not UTF-8")]
    NotText,
}

/// Why the seal does not open. Nothing of the file was believed.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    #[error("this is no file of age, or its start is damaged")]
    NotAge,
    #[error("this key does not open it: another recipient's, or another passphrase")]
    OtherKey,
    #[error("it is sealed under a passphrase; an identity was given")]
    NeedsPassphrase,
    #[error("it is sealed to recipients; a passphrase was given")]
    NeedsIdentity,
    #[error(
        "its passphrase asks for too much work to try (2^{asked}, at most 2^{WORK_FACTOR_MAX})"
    )]
    Work { asked: u8 },
    #[error("the backup cannot be read")]
    Io(#[source] io::Error),
}

fn passphrase(bytes: &[u8]) -> Option<SecretString> {
    Some(SecretString::from(std::str::from_utf8(bytes).ok()?.to_owned()))
}

impl Lock {
    /// Recipients by their public keys, or a passphrase: one of them.
    pub fn new(recipients: &[String], typed: &Zeroizing<Vec<u8>>) -> Result<Self, LockError> {
        match (recipients.len(), typed.len()) {
            (0, 0) => Err(LockError::Nothing),
            (0, length) if length < PASSPHRASE_BYTES_MIN => Err(LockError::Short),
            (0, _) => passphrase(typed).map(Self::Passphrase).ok_or(LockError::NotText),
            (count, _) if count > BACKUP_RECIPIENTS_MAX => Err(LockError::TooMany { count }),
            (_, 0) => {
                let parsed = (1..).zip(recipients).map(|(number, text)| {
                    recipient(text.trim()).ok_or(LockError::Recipient { number })
                });
                Ok(Self::Recipients(parsed.collect::<Result<_, _>>()?))
            }
            (_, _) => Err(LockError::Both),
        }
    }

    /// Starts a file: what is written from here on is sealed.
    pub(super) fn seal<W: Write>(self, out: W) -> io::Result<age::stream::StreamWriter<W>> {
        let encryptor = match self {
            Self::Recipients(recipients) => {
                let recipients = recipients.iter().map(|one| {
                    let one: &dyn Recipient = one.as_ref();
                    one
                });
                Encryptor::with_recipients(recipients)
            }
            Self::Passphrase(passphrase) => {
                let mut recipient = age::scrypt::Recipient::new(passphrase);
                recipient.set_work_factor(WORK_FACTOR);
                Encryptor::with_recipients(iter::once::<&dyn Recipient>(&recipient))
            }
        };
        encryptor.map_err(|_| io::Error::other(LockError::Together))?.wrap_output(out)
    }
}

fn recipient(text: &str) -> Option<Box<dyn Recipient + Send>> {
    let recipient: age::x25519::Recipient = text.parse().ok()?;
    Some(Box::new(recipient))
}

impl Key {
    /// The lines of an identity file, or a passphrase: one of them.
    pub fn new(
        identity: &Zeroizing<Vec<u8>>,
        typed: &Zeroizing<Vec<u8>>,
    ) -> Result<Self, KeyError> {
        match (identity.is_empty(), typed.is_empty()) {
            (true, true) => Err(KeyError::Nothing),
            (false, false) => Err(KeyError::Both),
            (true, false) => passphrase(typed).map(Self::Passphrase).ok_or(KeyError::NotText),
            (false, true) => {
                let read = IdentityFile::from_buffer(identity.as_slice());
                let read = read.map_err(|_| KeyError::Identity)?;
                let all = read.into_identities().map_err(|_| KeyError::Identity)?;
                if all.is_empty() { Err(KeyError::Identity) } else { Ok(Self::Identities(all)) }
            }
        }
    }

    /// Opens the seal: what is read from there on is what was sealed.
    pub(super) fn open<R: Read>(self, file: R) -> Result<Opened<R>, UnlockError> {
        let left = Rc::new(Cell::new(START_BYTES_MAX));
        let file = BufReader::new(Bounded { file, left: Rc::clone(&left) });
        let decryptor = Decryptor::new_buffered(file).map_err(|error| unlock_error(&error))?;
        left.set(u64::MAX);
        let opened = match self {
            Self::Identities(_) if decryptor.is_scrypt() => {
                return Err(UnlockError::NeedsPassphrase);
            }
            Self::Passphrase(_) if !decryptor.is_scrypt() => {
                return Err(UnlockError::NeedsIdentity);
            }
            Self::Identities(all) => decryptor.decrypt(all.iter().map(|one| {
                let one: &dyn Identity = one.as_ref();
                one
            })),
            Self::Passphrase(passphrase) => {
                let mut identity = age::scrypt::Identity::new(passphrase);
                identity.set_max_work_factor(WORK_FACTOR_MAX);
                decryptor.decrypt(iter::once::<&dyn Identity>(&identity))
            }
        };
        opened.map_err(|error| unlock_error(&error))
    }
}

/// A file of which so many bytes are read at most.
pub(super) struct Bounded<R> {
    file: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        let read = self.file.by_ref().take(left).read(into)?;
        if left != u64::MAX {
            self.left.set(left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX)));
        }
        Ok(read)
    }
}

/// age's own words are not ours to show; its list may grow.
fn unlock_error(error: &DecryptError) -> UnlockError {
    match error {
        DecryptError::NoMatchingKeys
        | DecryptError::KeyDecryptionFailed
        | DecryptError::DecryptionFailed => UnlockError::OtherKey,
        DecryptError::ExcessiveWork { required, .. } => UnlockError::Work { asked: *required },
        DecryptError::Io(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
            ) =>
        {
            UnlockError::Io(io::Error::new(error.kind(), error.to_string()))
        }
        _ => UnlockError::NotAge,
    }
}
