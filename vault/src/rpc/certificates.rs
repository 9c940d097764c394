//! `Certificates`: what the root signed, and what of it was taken back.

use std::collections::BTreeMap;
use std::sync::Arc;

use pki::crl::CrlError;
use pki::issued::{self, ChainError, Facts, Record, Subject};
use pki::leaf::Role;
use proto::v1;
use proto::v1::certificates_server::Certificates;
use tonic::{Request, Response, Status};
use vault_core::limits::{PAGE_DEFAULT, PAGE_MAX};
use vault_core::state::Issued;

use super::status;
use crate::daemon::Daemon;
use crate::manager::{CrlRefused, Manager};
use crate::raft::View;

/// The chain as far as it is known here, by number.
type Known = BTreeMap<u64, Arc<Record>>;

#[tonic::async_trait]
impl Certificates for Daemon {
    async fn log(
        &self,
        request: Request<v1::CertificateLogRequest>,
    ) -> Result<Response<v1::CertificateLogResponse>, Status> {
        let v1::CertificateLogRequest { limit, before } = request.into_inner();
        let limit = match usize::try_from(limit).unwrap_or(PAGE_MAX) {
            0 => PAGE_DEFAULT,
            limit => limit.min(PAGE_MAX),
        };
        let (manager, view) = self.view().await.map_err(|error| status::of_call(&error))?;
        let issued = view.state.issued();
        let end = if before == 0 { u64::MAX } else { before };
        let kept: Known = newest(issued);
        let reaches = kept.range(..end).count() >= limit || issued.is_whole();
        let known = if reaches { kept } else { with_audit(&manager, &view).await?.0 };
        let page = known.range(..end).rev().take(limit).map(|(_, record)| message(record));
        let mut certificates: Vec<_> = page.collect();
        certificates.reverse();
        let (count, head) = (issued.count(), issued.head().0.to_vec());
        let index = view.state.index();
        Ok(Response::new(v1::CertificateLogResponse { certificates, count, head, index }))
    }

    async fn verify_log(
        &self,
        _request: Request<v1::VerifyCertificateLogRequest>,
    ) -> Result<Response<v1::VerifyCertificateLogResponse>, Status> {
        let (manager, view) = self.view().await.map_err(|error| status::of_call(&error))?;
        let (known, differs) = with_audit(&manager, &view).await?;
        let issued = view.state.issued();
        let (count, head) = (issued.count(), issued.head());
        let verified = match differs {
            Some(number) => Err(ChainError::Changed { number }),
            None => issued::verify(unbroken(&known, count), count, head),
        };
        let (first, broken) = match verified {
            Ok(first) => (first.unwrap_or(0), String::new()),
            Err(error) => (0, error.to_string()),
        };
        let (head, index) = (head.0.to_vec(), view.state.index());
        Ok(Response::new(v1::VerifyCertificateLogResponse { first, count, head, broken, index }))
    }

    async fn crl(
        &self,
        _request: Request<v1::CrlRequest>,
    ) -> Result<Response<v1::CrlResponse>, Status> {
        let (manager, view) = self.view().await.map_err(|error| status::of_call(&error))?;
        let list = manager.crl(&view).map_err(|error| of_crl(&error))?;
        Ok(Response::new(v1::CrlResponse { list, index: view.state.index() }))
    }
}

fn message(record: &Record) -> v1::Certificate {
    let Facts { subject, certificate, key, not_before_secs, not_after_secs, serial } =
        &record.facts;
    let nanos = |secs: u64| i64::try_from(secs.saturating_mul(1_000_000_000)).unwrap_or(i64::MAX);
    let (node, kind) = match subject {
        Subject::Unread => (String::new(), v1::CertificateKind::Unread),
        Subject::Authority => (String::new(), v1::CertificateKind::Authority),
        Subject::Node { id, role: Role::Worker } => (id.clone(), v1::CertificateKind::Worker),
        Subject::Node { id, role: Role::Manager } => (id.clone(), v1::CertificateKind::Manager),
    };
    v1::Certificate {
        number: record.number,
        issued_at: nanos(record.at_secs),
        node,
        kind: kind.into(),
        begins_at: nanos(*not_before_secs),
        ends_at: nanos(*not_after_secs),
        serial: serial.clone(),
        digest: certificate.0.to_vec(),
        key: key.0.to_vec(),
        chain: record.chain.0.to_vec(),
    }
}

fn newest(issued: &Issued) -> Known {
    issued.kept().map(|record| (record.number, Arc::clone(record))).collect()
}

/// The newest, and behind them what this manager's audit has. Also the number of one of which the two say different
/// things, if there is any.
async fn with_audit(manager: &Arc<Manager>, view: &View) -> Result<(Known, Option<u64>), Status> {
    let audit = manager.audit().clone();
    let read = tokio::task::spawn_blocking(move || audit.issued()).await;
    let read = read.map_err(|error| Status::internal(error.to_string()))?;
    let mut known = read.map_err(|error| Status::data_loss(error.to_string()))?;
    let kept = newest(view.state.issued());
    let differs = kept
        .iter()
        .find(|(number, record)| known.get(number).is_some_and(|recorded| recorded != *record));
    let differs = differs.map(|(number, _)| *number);
    known.extend(kept);
    // What came behind the view.
    known.retain(|number, _| *number <= view.state.issued().count());
    Ok((known, differs))
}

/// The records up to the last one that follow each other without a hole: before them this manager was not there yet,
/// or its audit has forgotten them.
fn unbroken(known: &Known, count: u64) -> impl Iterator<Item = &Record> {
    let expected = (1..=count).rev();
    let run =
        known.values().rev().zip(expected).take_while(|(record, next)| record.number == *next);
    let length = run.count();
    known.values().skip(known.len() - length).map(|record| &**record)
}

fn of_crl(error: &CrlRefused) -> Status {
    match error {
        CrlRefused::NoCluster | CrlRefused::List(CrlError::RootDates) => {
            Status::failed_precondition(error.to_string())
        }
        CrlRefused::Value(_) | CrlRefused::Key(_) | CrlRefused::List(_) => {
            Status::internal(error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use pki::issued::CHAIN_START;

    use super::*;

    #[test]
    fn what_is_verified_begins_behind_the_last_hole() {
        let record = |number| {
            let facts = Facts::of("no certificate");
            (number, Arc::new(Record::after(number - 1, CHAIN_START, 1, facts)))
        };
        for (numbers, count, expected) in [
            (&[1, 2, 3][..], 3, &[1, 2, 3][..]),
            (&[1, 3, 4], 4, &[3, 4]),
            (&[1, 2], 4, &[]),
            (&[], 0, &[]),
        ] {
            let known: Known = numbers.iter().copied().map(record).collect();
            let found: Vec<_> = unbroken(&known, count).map(|record| record.number).collect();
            assert_eq!(found, expected, "{numbers:?}");
        }
    }
}
