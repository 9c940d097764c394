//! What every call between managers carries: the cluster, its recovery epoch, from whom, to whom. A log or a
//! vote of another cluster, or of a time before a recovery, is found out before Raft sees it.

use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Request, Status};
use vault_core::id::ClusterId;

const CLUSTER: &str = "coffer-cluster";
const EPOCH: &str = "coffer-epoch";
const FROM: &str = "coffer-from";
const TO: &str = "coffer-to";

/// Who this manager is to others.
#[derive(Clone, Copy, Debug)]
pub(in crate::raft) struct Envelope {
    pub cluster: ClusterId,
    pub recovery_epoch: u32,
    pub raft_id: u64,
}

impl Envelope {
    /// A request to another manager.
    pub(super) fn request<T>(self, to: u64, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        let id = self.cluster.to_string();
        let id = AsciiMetadataValue::try_from(id).expect("IDs are digits and small letters");
        metadata.insert(CLUSTER, id);
        metadata.insert(EPOCH, self.recovery_epoch.into());
        metadata.insert(FROM, self.raft_id.into());
        metadata.insert(TO, to.into());
        request
    }

    /// Takes a call that is meant for this manager. Returns from whom it is.
    pub(super) fn open(self, metadata: &MetadataMap) -> Result<u64, Status> {
        let text = |key| metadata.get(key).and_then(|value| value.to_str().ok());
        let number = |key| text(key).and_then(|text| text.parse::<u64>().ok());
        if text(CLUSTER) != Some(self.cluster.to_string().as_str()) {
            return Err(Status::failed_precondition("this manager is of another cluster"));
        }
        if number(EPOCH) != Some(u64::from(self.recovery_epoch)) {
            let text = "this cluster was recovered since: one of the two managers is of before";
            return Err(Status::failed_precondition(text));
        }
        if number(TO) != Some(self.raft_id) {
            return Err(Status::failed_precondition("this is another manager than the one meant"));
        }
        number(FROM)
            .filter(|from| *from != self.raft_id)
            .ok_or_else(|| Status::failed_precondition("the call does not say from whom it is"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_41_only_calls_of_the_same_cluster_and_time_to_this_manager_are_taken() {
        let (here, there) = (ClusterId::from_entropy([1; 17]), ClusterId::from_entropy([2; 17]));
        let envelope =
            |cluster, recovery_epoch, raft_id| Envelope { cluster, recovery_epoch, raft_id };
        let receiver = envelope(here, 3, 7);
        for (sender, to, expected) in [
            (envelope(here, 3, 1), 7, Some(1)),
            (envelope(there, 3, 1), 7, None),
            (envelope(here, 2, 1), 7, None),
            (envelope(here, 4, 1), 7, None),
            (envelope(here, 3, 1), 8, None),
            (envelope(here, 3, 7), 7, None),
        ] {
            let request = sender.request(to, ());
            assert_eq!(receiver.open(request.metadata()).ok(), expected, "{sender:?} to {to}");
        }
        assert!(receiver.open(&MetadataMap::new()).is_err(), "nothing said");
    }
}
