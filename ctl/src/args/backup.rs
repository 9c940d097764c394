//! What can be typed to save, look at, check and restore backups. A passphrase is never typed here.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Save the whole cluster into one sealed file, from a running manager
    #[command(
        after_help = "Without a recipient or a file, the passphrase is asked for. The daemon seals; root alone may save.\n\n\
                      Examples:\n  coffer backup save --recipient age1... /mnt/coffer-1.age\n  \
                      coffer backup save --recipients-file team.txt - | ssh vault 'cat > coffer-1.age'\n  \
                      coffer backup save --passphrase-file /root/backup.pass coffer-1.age"
    )]
    Save(SaveBackupArgs),
    /// Show what a backup says of itself
    #[command(after_help = "Example:\n  coffer backup inspect -i key.txt coffer-1.age")]
    Inspect {
        #[command(flatten)]
        key: BackupKeyArgs,
        /// Format output: 'json'
        #[arg(long)]
        format: Option<String>,
        /// The backup; '-' for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Read a whole backup and open every value in it, without restoring
    #[command(after_help = "Any cofferd does it, also one that is in no cluster.\n\n\
                      Example:\n  coffer backup verify -i key.txt coffer-1.age")]
    Verify {
        #[command(flatten)]
        key: BackupKeyArgs,
        /// The backup; '-' for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Bring the cluster back on this node, which must be in none
    #[command(
        after_help = "Everything is checked before anything is written. This node is the only manager then, join tokens \
                      are new, and other nodes have to join anew.\n\n\
                      Example:\n  coffer backup restore -i key.txt --advertise-addr 10.0.0.1 coffer-1.age"
    )]
    Restore {
        #[command(flatten)]
        key: BackupKeyArgs,
        /// Address that other nodes reach this one at (IP or IP:PORT)
        #[arg(long, value_name = "ADDR", default_value = "", hide_default_value = true)]
        advertise_addr: String,
        /// The backup; '-' for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// What a backup is opened with.
#[derive(Debug, Args)]
pub(crate) struct BackupKeyArgs {
    /// File with an age identity (AGE-SECRET-KEY-1...); '-' for standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "passphrase_file")]
    pub(crate) identity: Option<PathBuf>,
    /// File with the passphrase; '-' for standard input. Without it and an identity, it is asked for
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// How a backup is saved.
#[derive(Debug, Args)]
pub(crate) struct SaveBackupArgs {
    /// Public key of age (age1...) that opens the backup; once for each
    #[arg(short, long = "recipient", value_name = "KEY", conflicts_with = "passphrase_file")]
    pub(crate) recipients: Vec<String>,
    /// File with such keys, one in a line; '-' for standard input
    #[arg(short = 'R', long, value_name = "FILE", conflicts_with = "passphrase_file")]
    pub(crate) recipients_file: Option<PathBuf>,
    /// File with the passphrase; '-' for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// What this manager knows, also if there is no majority
    #[arg(long)]
    pub(crate) stale: bool,
    /// Where to; must not be there yet. '-' for standard output
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// What holds for the whole swarm from now on; what is not named stays.
#[derive(Debug, Args)]
pub(crate) struct UpdateSwarmArgs {
    /// Lock managers: after a restart each needs the unlock key
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true")]
    pub(crate) autolock: Option<bool>,
    /// Have a backup made so often (30m, 6h, 1d); 0 for none. Root alone
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) backup_every: Option<u64>,
    /// How many of them are kept
    #[arg(long, value_name = "N")]
    pub(crate) backup_keep: Option<u32>,
    /// Whom they are sealed for: a public key of age. May be given more than once, and replaces those of before
    #[arg(long, value_name = "AGE1...")]
    pub(crate) backup_recipient: Vec<String>,
    /// Where each manager puts those that it makes: an absolute path
    #[arg(long, value_name = "DIR")]
    pub(crate) backup_dir: Option<String>,
}

impl UpdateSwarmArgs {
    /// Whether anything is said of backups.
    pub(crate) fn is_about_backups(&self) -> bool {
        let Self { autolock: _, backup_every, backup_keep, backup_recipient, backup_dir } = self;
        let is_named = backup_every.is_some() || backup_keep.is_some() || backup_dir.is_some();
        is_named || !backup_recipient.is_empty()
    }
}

/// A time that does not read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number and its unit: 90s, 30m, 6h or 1d; or 0")]
pub(crate) struct TimeError;

/// Seconds of `6h`.
pub(super) fn parse_time(text: &str) -> Result<u64, TimeError> {
    if text == "0" {
        return Ok(0);
    }
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(TimeError)?;
    let secs = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(TimeError),
    };
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse::<u64>().ok().filter(|_| is_number);
    number.and_then(|number| number.checked_mul(secs)).ok_or(TimeError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_its_unit() {
        for (text, expected) in [
            ("0", Ok(0)),
            ("90s", Ok(90)),
            ("30m", Ok(1_800)),
            ("6h", Ok(21_600)),
            ("1d", Ok(86_400)),
            ("6", Err(TimeError)),
            ("h", Err(TimeError)),
            ("", Err(TimeError)),
            ("-6h", Err(TimeError)),
            ("+6h", Err(TimeError)),
            ("6\u{e9}", Err(TimeError)),
            ("99999999999999999999d", Err(TimeError)),
        ] {
            assert_eq!(parse_time(text), expected, "{text:?}");
        }
    }
}
