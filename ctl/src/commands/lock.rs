//! `coffer swarm update --autolock`, `unlock-key` and `unlock`.

use std::io::IsTerminal;
use std::io::Read;

use zeroize::Zeroizing;

use crate::client::CallError;
use crate::client::Client;
use crate::client::Refusal;
use crate::exit::Failure;
use crate::host::Host;
use crate::out;
use crate::prompt;

/// An unlock key has 52 characters.
const KEY_BYTES_MAX: usize = 1_024;

/// Why a command about autolock goes no further. Swarm's words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LockError {
    #[error("Error: This node is not part of a swarm")]
    NotInACluster,
    #[error("Error: swarm is not locked")]
    NotLocked,
    #[error("no unlock key is set")]
    NoKey,
    #[error("invalid key string")]
    Text,
}

/// What is said of the unlock key.
pub(crate) fn unlock_text(key: &str) -> String {
    format!(
        "To unlock a swarm manager after it restarts, run the `coffer swarm unlock`\n\
         command and provide the following key:\n\n    {key}\n\n\
         Remember to store this key in a password manager, since without it you\n\
         will not be able to restart the manager."
    )
}

/// Turns autolock on or off, and says what that means.
pub(crate) async fn set(client: &Client, autolock: bool) -> Result<(), Failure> {
    let key = client.set_autolock(autolock).await?;
    if let Some(key) = &key {
        // Before anything is locked: without the key a locked disk is lost.
        out::line(unlock_text(key))?;
    }
    let old_audit = client.await_lock().await?;
    if key.is_some() {
        out::error_line(
            "This manager's disk is locked, its log, snapshot and node key are new. The other managers follow \
             in a few seconds, and the data key is then rotated. Until now the CA key lay readable on this disk.",
        );
        if old_audit {
            out::error_line(
                "Records of the audit from before stay under the earlier disk key; they hold no name and no value.",
            );
        }
    }
    Ok(())
}

/// Shows the unlock key, alone or with what it is for.
pub(crate) async fn unlock_key(host: &Host, rotate: bool, quiet: bool) -> Result<(), Failure> {
    let client = Client::connect(host).await?;
    let key = client.unlock_key(rotate).await?.ok_or(LockError::NoKey)?;
    if rotate {
        // A disk that cannot follow now follows later, and nobody needs to wait for it.
        client.await_lock().await?;
    }
    if quiet {
        return Ok(out::line(key.as_str())?);
    }
    if rotate {
        out::line("Successfully rotated manager unlock key.\n")?;
    }
    Ok(out::line(unlock_text(&key))?)
}

/// Unlocks this node's manager. The key comes from the terminal or standard input, never from an argument.
pub(crate) async fn unlock(host: &Host) -> Result<(), Failure> {
    let client = Client::connect(host).await?;
    match client.status().await {
        Ok(status) if status.is_locked => {}
        Ok(_) => return Err(LockError::NotLocked.into()),
        Err(CallError::Refused { refusal: Refusal::Precondition, .. }) => {
            return Err(LockError::NotInACluster.into());
        }
        Err(other) => return Err(other.into()),
    }
    open(&client).await
}

/// Asks for the unlock key, and unlocks with it.
pub(crate) async fn open(client: &Client) -> Result<(), Failure> {
    let typed = if std::io::stdin().is_terminal() {
        prompt::ask_once("Enter unlock key: ").map_err(|error| Failure::Read(error.into()))?
    } else {
        one_line(std::io::stdin())?
    };
    let text = std::str::from_utf8(&typed).map_err(|_| LockError::Text)?;
    Ok(client.unlock(text.trim()).await?)
}

/// The first line, without its end.
fn one_line(mut input: impl Read) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut line = Zeroizing::new(Vec::with_capacity(KEY_BYTES_MAX));
    // Byte by byte: a buffer would have to be wiped.
    let mut byte = Zeroizing::new([0]);
    while input.read(&mut byte[..]).map_err(Failure::Stdin)? > 0 && byte[0] != b'\n' {
        if line.len() == KEY_BYTES_MAX {
            return Err(LockError::Text.into());
        }
        line.push(byte[0]);
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_34_one_line_is_read_and_no_more_than_a_key_may_have() {
        for (input, expected) in [(&b"key\nrest"[..], &b"key"[..]), (b"key", b"key"), (b"", b"")] {
            assert_eq!(one_line(input).unwrap().as_slice(), expected);
        }
        let huge = vec![b'x'; 10 << 20];
        assert!(matches!(one_line(&huge[..]), Err(Failure::Lock(LockError::Text))));
    }

    #[test]
    fn the_texts_are_swarms() {
        assert_eq!(
            unlock_text("SWMKEY-1-x"),
            "To unlock a swarm manager after it restarts, run the `coffer swarm unlock`\n\
             command and provide the following key:\n\n    SWMKEY-1-x\n\n\
             Remember to store this key in a password manager, since without it you\n\
             will not be able to restart the manager."
        );
    }
}
