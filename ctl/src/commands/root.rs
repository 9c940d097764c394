//! `coffer swarm ca`: shows the root, changes it, and says how far that is.
//!
//! Interrupted, it leaves the rotation alone: the managers go on without an onlooker.

use std::path::Path;

use tokio::time::sleep;

use crate::args::RootArgs;
use crate::client::Client;
use crate::exit::Failure;
use crate::host::Host;
use crate::human;
use crate::limits::KEYS_POLL_EVERY;
use crate::objects::Class;
use crate::objects::RootPhase;
use crate::objects::RootRotation;
use crate::objects::RootStatus;
use crate::objects::RootWanted;
use crate::out;
use crate::plaintext::Plaintext;
use crate::signals::Signals;

/// What cannot be asked for. The texts are Docker's where it has one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootError {
    #[error("`--{0}` flag requires the `--rotate` flag to update the CA")]
    NeedsRotate(&'static str),
    #[error(
        "the --ca-cert flag requires that a --ca-key flag and/or --external-ca flag be provided as well"
    )]
    NoKey,
    #[error("the --ca-key flag requires that a --ca-cert flag be provided as well")]
    NoCertificate,
    #[error(
        "an external CA is not used by this version: give a root and its key with --ca-cert and --ca-key, or let Coffer make one with --rotate alone"
    )]
    External,
    #[error("file contents must be in PEM format")]
    NoPem,
    #[error("no rotation of the root goes on")]
    Nothing,
}

/// Runs it.
pub(crate) async fn run(host: &Host, args: RootArgs) -> Result<(), Failure> {
    if let Some(flag) = args.needs_rotate() {
        return Err(RootError::NeedsRotate(flag).into());
    }
    if args.rotate {
        return rotate(host, args).await;
    }
    let client = Client::connect(host).await?;
    if args.abort {
        client.abort_root().await?;
        return follow(&client, args.detach, args.quiet).await;
    }
    if args.status {
        let rotation = client.root_status().await?.rotation.ok_or(RootError::Nothing)?;
        return Ok(out::line(progress(&rotation).join("\n"))?);
    }
    // Exactly the bytes whose digest stands in the join tokens.
    Ok(out::text(client.root().await?)?)
}

async fn rotate(host: &Host, args: RootArgs) -> Result<(), Failure> {
    if !args.external_ca.is_empty() {
        return Err(RootError::External.into());
    }
    let (certificate, key) = match (&args.ca_cert, &args.ca_key) {
        (None, None) => (String::new(), None),
        (Some(_), None) => return Err(RootError::NoKey.into()),
        (None, Some(_)) => return Err(RootError::NoCertificate.into()),
        (Some(certificate), Some(key)) => (read_certificate(certificate)?, Some(read(key)?)),
    };
    let wanted = RootWanted {
        certificate,
        key,
        lifetime_secs: args.cert_expiry,
        is_for_all: args.wait_for_all,
        is_compromised: args.compromised,
    };
    let client = Client::connect(host).await?;
    client.rotate_root(wanted).await?;
    follow(&client, args.detach, args.quiet).await
}

fn read(path: &Path) -> Result<Plaintext, Failure> {
    Ok(Plaintext::obtain(Class::Secret, "", Some(path))?)
}

fn read_certificate(path: &Path) -> Result<String, Failure> {
    let text = String::from_utf8(read(path)?.danger_into_bytes());
    let text = text.ok().filter(|text| text.contains("-----BEGIN "));
    Ok(text.ok_or(RootError::NoPem)?)
}

/// Waits for the end, unless told not to.
async fn follow(client: &Client, detach: bool, quiet: bool) -> Result<(), Failure> {
    if detach {
        return Ok(());
    }
    let mut signals = Signals::listen().map_err(Failure::Runtime)?;
    tokio::select! {
        watched = watch(client, quiet) => watched,
        () = signals.next() => {
            out::error_line(
                "Operation continuing in background.\n\
                 Use `coffer swarm ca --status` to check progress, `coffer swarm ca --abort` to take it back.",
            );
            Ok(())
        }
    }
}

/// Prints each line once, then the root.
async fn watch(client: &Client, quiet: bool) -> Result<(), Failure> {
    let mut last: Vec<String> = Vec::new();
    let mut was_compromised = false;
    loop {
        let status = client.root_status().await?;
        let Some(rotation) = &status.rotation else {
            return Ok(done(&status, quiet, was_compromised)?);
        };
        was_compromised = rotation.is_compromised;
        let lines = progress(rotation);
        for line in lines.iter().filter(|line| !quiet && !last.contains(line)) {
            out::line(line)?;
        }
        last = lines;
        sleep(KEYS_POLL_EVERY).await;
    }
}

fn done(status: &RootStatus, quiet: bool, was_compromised: bool) -> std::io::Result<()> {
    if quiet {
        return Ok(());
    }
    out::text(&status.certificate)?;
    for line in advice(status, was_compromised) {
        out::error_line(line);
    }
    Ok(())
}

/// Docker's three lines, and what it does not say.
fn progress(rotation: &RootRotation) -> Vec<String> {
    let RootRotation { digest, nodes, certified, trusting, .. } = rotation;
    let phase = match rotation.phase {
        RootPhase::Prepared => "the root is ready",
        RootPhase::Trusting => "nodes are told to trust both roots",
        RootPhase::Reissuing => "nodes take new certificates",
        RootPhase::Retiring => "nodes are told to trust this root alone",
        RootPhase::Withdrawing => "nodes are told to trust the root of before alone",
    };
    let back = if rotation.is_taken_back { " (taken back)" } else { "" };
    let mut lines = vec![
        format!("desired root digest: sha256:{digest}{back}"),
        format!("  {phase}"),
        format!("  rotated TLS certificates: {certified}/{nodes} nodes"),
        format!("  rotated CA certificates: {trusting}/{nodes} nodes"),
    ];
    let stale = rotation.stale.iter();
    lines.extend(stale.map(|node| {
        if rotation.is_compromised {
            format!("  not waited for: {node}; it has to join again")
        } else {
            format!("  not waited for: {node}; once back, it follows if it trusts either root, or else joins again")
        }
    }));
    lines
}

/// Where the old key may still be, and what no rotation changes by itself.
fn advice(status: &RootStatus, was_compromised: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for node in &status.away {
        lines.push(format!(
            "Manager {node} is down: its disk may hold the old root's key until it is back."
        ));
    }
    let backups = match status.backup_at {
        Some(at) => format!(
            "Backups hold the old root's key, too, those until {} at least: make new ones, and destroy the old.",
            human::rfc3339(at)
        ),
        None => "Backups that were made before hold the old root's key, too.".to_owned(),
    };
    lines.push(backups);
    if was_compromised {
        lines.push(
            "Whoever has the old key may have more: see also `coffer swarm rotate-keys` and `coffer swarm unlock-key --rotate`."
                .to_owned(),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation() -> RootRotation {
        RootRotation {
            phase: RootPhase::Reissuing,
            digest: "ab01".into(),
            nodes: 3,
            certified: 1,
            trusting: 2,
            stale: vec!["n4 (host)".into()],
            is_taken_back: false,
            is_compromised: false,
        }
    }

    #[test]
    fn progress_has_dockers_lines_and_names_who_is_not_waited_for() {
        assert_eq!(
            progress(&rotation()),
            [
                "desired root digest: sha256:ab01",
                "  nodes take new certificates",
                "  rotated TLS certificates: 1/3 nodes",
                "  rotated CA certificates: 2/3 nodes",
                "  not waited for: n4 (host); once back, it follows if it trusts either root, or else joins again",
            ]
        );
        let back = progress(&RootRotation { is_taken_back: true, ..rotation() });
        assert_eq!(back[0], "desired root digest: sha256:ab01 (taken back)");
        let harsh = progress(&RootRotation { is_compromised: true, ..rotation() });
        assert_eq!(harsh[4], "  not waited for: n4 (host); it has to join again");
    }

    #[test]
    fn who_may_still_hold_the_old_key_is_named() {
        let away = vec!["n4 (host)".to_owned()];
        let status =
            RootStatus { certificate: "pem".into(), rotation: None, away, backup_at: None };
        let said = advice(&status, true).join("\n");
        for part in ["Manager n4 (host) is down", "Backups that were made before", "rotate-keys"] {
            assert!(said.contains(part), "{said}");
        }
    }
}
