//! `Audit`: who called what.

use std::pin::Pin;

use futures_util::Stream;
use proto::v1;
use proto::v1::audit_server::Audit as AuditService;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use vault_core::access::Call;
use vault_core::limits::{PAGE_DEFAULT, PAGE_MAX};

use super::status;
use crate::audit::{Audit, Record};
use crate::daemon::Daemon;

/// Records that wait for a slow reader.
const WAITING_MAX: usize = 256;

#[tonic::async_trait]
impl AuditService for Daemon {
    type TailStream = Pin<Box<dyn Stream<Item = Result<v1::AuditRecord, Status>> + Send>>;

    async fn tail(
        &self,
        request: Request<v1::TailAuditRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        let v1::TailAuditRequest { limit, follow } = request.into_inner();
        let limit = match usize::try_from(limit).unwrap_or(PAGE_MAX) {
            0 => PAGE_DEFAULT,
            limit => limit.min(PAGE_MAX),
        };
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(send(manager.audit().clone(), limit, follow, sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(waiting))))
    }

    async fn verify(
        &self,
        _request: Request<v1::VerifyAuditRequest>,
    ) -> Result<Response<v1::VerifyAuditResponse>, Status> {
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let verified = tokio::task::spawn_blocking(move || manager.audit().verify()).await;
        let verified = verified.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(match verified {
            Ok((first, last)) => v1::VerifyAuditResponse {
                records: (last + 1).saturating_sub(first),
                first,
                last,
                broken: String::new(),
            },
            Err(error) => {
                let broken = error.to_string();
                v1::VerifyAuditResponse { broken, ..v1::VerifyAuditResponse::default() }
            }
        }))
    }
}

async fn send(
    audit: Audit,
    limit: usize,
    follow: bool,
    reader: mpsc::Sender<Result<v1::AuditRecord, Status>>,
) {
    let Some(mut numbers) = audit.numbers() else { return };
    let mut batch = audit.tail(limit);
    let mut last = *numbers.borrow_and_update();
    loop {
        for record in batch {
            last = last.max(record.number);
            if reader.send(Ok(message(&record))).await.is_err() {
                return;
            }
        }
        if !follow {
            return;
        }
        tokio::select! {
            next = numbers.wait_for(|number| *number > last) => if next.is_err() { return },
            () = reader.closed() => return,
        }
        batch = audit.since(last, WAITING_MAX).unwrap_or_default();
    }
}

fn message(record: &Record) -> v1::AuditRecord {
    let hex = |id: &[u8; 16]| id.map(|byte| format!("{byte:02x}")).concat();
    v1::AuditRecord {
        number: record.number,
        at: i64::try_from(record.at.nanos()).unwrap_or(i64::MAX),
        uid: record.actor.uid,
        pid: record.actor.pid,
        call: Call::from_number(record.actor.call).map_or("", Call::path).to_owned(),
        objects: record.touched.iter().map(ToString::to_string).collect(),
        outcome: record.outcome,
        request_id: record.request.as_ref().map_or_else(String::new, hex),
        index: record.index,
        node: record.actor.node.as_ref().map_or_else(String::new, ToString::to_string),
    }
}
