//! Calls about what the root signed.

use proto::v1;
use proto::v1::certificates_client::CertificatesClient;

use super::CallError;
use super::Channel;
use super::Client;
use super::filled;
use crate::limits::VERIFY_DEADLINE;
use crate::objects::Certificate;
use crate::objects::ChainReport;

impl Client {
    fn certificates_client(&self) -> CertificatesClient<Channel> {
        CertificatesClient::new(self.channel.clone())
    }

    /// Certificates that were issued, oldest first; no limit for the daemon's own.
    pub(crate) async fn certificates(
        &self,
        limit: Option<u32>,
        before: Option<u64>,
    ) -> Result<Vec<Certificate>, CallError> {
        let (limit, before) = (limit.unwrap_or(0), before.unwrap_or(0));
        let request = v1::CertificateLogRequest { limit, before };
        // Older ones are read from the audit.
        let mut client = self.certificates_client();
        let answer = self.ask_within(VERIFY_DEADLINE, client.log(request)).await?;
        Ok(answer.certificates.into_iter().map(certificate).collect())
    }

    pub(crate) async fn verify_certificates(&self) -> Result<ChainReport, CallError> {
        let mut client = self.certificates_client();
        let call = client.verify_log(v1::VerifyCertificateLogRequest {});
        let answer = self.ask_within(VERIFY_DEADLINE, call).await?;
        Ok(ChainReport {
            first: answer.first,
            count: answer.count,
            head: hex(&answer.head),
            broken: answer.broken,
        })
    }

    /// The list of what was taken back, in PEM.
    pub(crate) async fn crl(&self) -> Result<String, CallError> {
        let answer = self.ask(self.certificates_client().crl(v1::CrlRequest {})).await?;
        filled(answer.list, "the list")
    }
}

fn certificate(wire: v1::Certificate) -> Certificate {
    let kind = match wire.kind() {
        v1::CertificateKind::Unread => "unknown",
        v1::CertificateKind::Authority => "root",
        v1::CertificateKind::Worker => "worker",
        v1::CertificateKind::Manager => "manager",
    };
    Certificate {
        number: wire.number,
        issued_at: wire.issued_at,
        kind,
        begins_at: wire.begins_at,
        ends_at: wire.ends_at,
        serial: hex(&wire.serial),
        digest: hex(&wire.digest),
        key: hex(&wire.key),
        chain: hex(&wire.chain),
        node: wire.node,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}
