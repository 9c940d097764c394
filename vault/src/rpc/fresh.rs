//! How new an answer has to be: calls that read may say so, in their metadata. The gate looks at it before anybody
//! acts on it.

use tonic::codegen::http::HeaderMap;
use tonic::{Request, Status};
use vault_core::access::Call;

use crate::raft::Freshness;

/// Its value is `stale`, or an index of the log that the answer has to reflect.
const HEADER: &str = "coffer-read";
const STALE: &str = "stale";

/// What the metadata of a call say; a call that cannot take it is refused rather than answered otherwise.
pub(super) fn read(call: Call, headers: &HeaderMap) -> Result<Freshness, Status> {
    let Some(value) = headers.get(HEADER) else { return Ok(Freshness::Newest) };
    if !may_be_old(call) {
        return Err(Status::invalid_argument(
            "coffer-read: this call always takes the newest state",
        ));
    }
    let index = value.to_str().ok().and_then(|text| match text {
        STALE => Some(Freshness::Own),
        // A sign would be read, too.
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().map(Freshness::AtLeast)
        }
        _ => None,
    });
    index.ok_or_else(|| {
        Status::invalid_argument("coffer-read: neither \"stale\" nor an index of the log")
    })
}

/// What the gate found.
pub(super) fn of<T>(request: &Request<T>) -> Freshness {
    request.extensions().get().copied().unwrap_or_default()
}

/// Calls that show objects and nothing else.
fn may_be_old(call: Call) -> bool {
    matches!(
        call,
        Call::NodesList
            | Call::NodesInspect
            | Call::SecretsList
            | Call::SecretsInspect
            | Call::ConfigsList
            | Call::ConfigsInspect
            | Call::ServicesList
            | Call::ServicesInspect
            | Call::ServicesTasks
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(call: Call, value: &str) -> Result<Freshness, tonic::Code> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, value.parse().expect("visible"));
        super::read(call, &headers).map_err(|status| status.code())
    }

    #[test]
    fn reading_calls_alone_say_how_new_they_are() {
        assert_eq!(super::read(Call::SecretsList, &HeaderMap::new()).ok(), Some(Freshness::Newest));
        assert_eq!(read(Call::SecretsList, "stale"), Ok(Freshness::Own));
        assert_eq!(
            read(Call::SecretsList, "18446744073709551615"),
            Ok(Freshness::AtLeast(u64::MAX))
        );
        for wrong in ["", "+1", "-1", "Stale", "1 ", "18446744073709551616"] {
            assert_eq!(
                read(Call::SecretsList, wrong),
                Err(tonic::Code::InvalidArgument),
                "{wrong:?}"
            );
        }
        for call in [Call::SecretsRotate, Call::SwarmJoinTokens, Call::RaftVote] {
            assert_eq!(read(call, "stale"), Err(tonic::Code::InvalidArgument));
        }
    }
}
