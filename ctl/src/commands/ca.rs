//! `coffer swarm ca`: the root's certificate, what it signed, and what of that was taken back.

use crate::args::CaArgs;
use crate::args::CaCommand;
use crate::args::CaLogArgs;
use crate::client::Client;
use crate::commands::root;
use crate::exit::Failure;
use crate::host::Host;
use crate::human;
use crate::listing::Column;
use crate::listing::Format;
use crate::listing::Listing;
use crate::listing::Row;
use crate::listing::hidden;
use crate::listing::shown;
use crate::objects::Certificate;
use crate::objects::ChainReport;
use crate::objects::Labels;
use crate::out;

const COLUMNS: &[Column] = &[
    shown("Number", "NUMBER"),
    shown("Issued", "ISSUED"),
    shown("Kind", "KIND"),
    shown("Node", "NODE"),
    shown("Expires", "EXPIRES"),
    shown("Serial", "SERIAL"),
    hidden("Begins", "BEGINS"),
    hidden("Digest", "DIGEST"),
    hidden("Key", "KEY"),
    hidden("Chain", "CHAIN"),
];

/// The log of certificates does not hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the log of certificates is not whole: {0}. Look at it on the other managers, too: 'coffer swarm ca log --verify'"
)]
pub(crate) struct ChainBroken(String);

/// Shows what was issued or taken back, or is about the root itself.
pub(crate) async fn run(host: &Host, args: CaArgs) -> Result<(), Failure> {
    let Some(command) = args.command else {
        return root::run(host, args.root).await;
    };
    let client = Client::connect(host).await?;
    match command {
        CaCommand::Crl => Ok(out::text(client.crl().await?)?),
        CaCommand::Log(CaLogArgs { verify: true, .. }) => {
            Ok(out::line(verdict(client.verify_certificates().await?)?)?)
        }
        CaCommand::Log(args) => list(&client, &args).await,
    }
}

async fn list(client: &Client, args: &CaLogArgs) -> Result<(), Failure> {
    let format = Format::parse(args.list.format.as_deref(), args.list.quiet)?;
    let certificates = client.certificates(args.lines, args.before).await?;
    let rows = certificates.into_iter().map(row).collect();
    Ok(out::text(Listing { columns: COLUMNS, rows }.render(&format)?)?)
}

fn row(certificate: Certificate) -> Row {
    let [issued, begins, ends] =
        [certificate.issued_at, certificate.begins_at, certificate.ends_at].map(human::rfc3339);
    let cells = vec![
        certificate.number.to_string(),
        issued,
        certificate.kind.to_owned(),
        certificate.node,
        ends,
        certificate.serial,
        begins,
        certificate.digest,
        certificate.key,
        certificate.chain,
    ];
    Row { cells, labels: Labels::new(), mark: "" }
}

fn verdict(report: ChainReport) -> Result<String, ChainBroken> {
    let ChainReport { first, count, head, broken } = report;
    match (broken.as_str(), first) {
        ("", 0) => Ok("0 certificates".to_owned()),
        ("", 1) => Ok(format!("{count} certificates, all of them, chain whole, head {head}")),
        ("", _) => Ok(format!(
            "certificates {first} to {count}, chain whole, head {head}; earlier ones are not known on this manager"
        )),
        _ => Err(ChainBroken(broken)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_says_from_where_on_the_chain_holds() {
        let report = |first, broken: &str| ChainReport {
            first,
            count: 9,
            head: "ab".to_owned(),
            broken: broken.to_owned(),
        };
        for (report, expected) in [
            (report(0, ""), Ok("0 certificates")),
            (report(1, ""), Ok("9 certificates, all of them, chain whole, head ab")),
            (
                report(4, ""),
                Ok(
                    "certificates 4 to 9, chain whole, head ab; earlier ones are not known on this manager",
                ),
            ),
            (
                report(0, "certificate 7 is missing"),
                Err(
                    "the log of certificates is not whole: certificate 7 is missing. Look at it on the other managers, too: 'coffer swarm ca log --verify'",
                ),
            ),
        ] {
            let said = verdict(report).map_err(|error| error.to_string());
            assert_eq!(said.as_deref().map_err(String::as_str), expected);
        }
    }
}
