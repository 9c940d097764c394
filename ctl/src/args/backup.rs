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
