//! What the log holds, and what comes of it.

use std::fmt;

use pki::rotation::Generation;

use crate::backups;
use crate::cluster::Cluster;
use crate::event::Event;
use crate::feature::Level;
use crate::id::{NodeId, ObjectId, ServiceId, TaskId, TokenId};
use crate::labels::Labels;
use crate::name::SecretName;
use crate::node::{Availability, Described, KeyPin, Node, NodeStatus, Role};
use crate::request::RequestId;
use crate::root::{self, RootRefusal};
use crate::seal::{Epoch, KeyDigest, Kind, Sealed};
use crate::service::ServiceSpec;
use crate::table::LookupError;
use crate::task::{Held, TaskState, TaskStatus};
use crate::time::Timestamp;
use crate::token::{NewToken, Standing};
use crate::versioned::{Class, VersionLabel, VersionLimit, VersionRef};

/// One entry of the log: what to do, when the leader took it, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The leader's clock. Applying keeps time from running backwards.
    pub at: Timestamp,
    /// Set when the client asked for protection against acting twice.
    pub request: Option<RequestId>,
    /// Set when somebody asked for it; the daemon's own commands have none.
    pub actor: Option<Actor>,
    pub action: Action,
}

/// Who asked, by the kernel's word on the manager that took the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    pub uid: u32,
    /// 0 if the kernel did not say.
    pub pid: u32,
    /// The number of the call, `access::Call`.
    pub call: u16,
    /// The manager that took the call, and says the rest.
    pub node: Option<NodeId>,
}

impl Actor {
    /// The cluster itself.
    pub const NOBODY: Self = Self { uid: 0, pid: 0, call: 0, node: None };
}

/// Everything that changes the state. Values are sealed and IDs chosen before it is proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The first entry of a cluster. Times and version indexes in it are set when it is applied.
    CreateCluster(Box<CreateCluster>),
    /// All or none.
    Create(Class, Vec<NewObject>),
    Remove(Class, ObjectId),
    /// All or none: tasks see all of the new versions, or all of the old ones.
    Rotate(Class, Vec<NewVersion>),
    /// All or none.
    Activate(Class, Vec<(ObjectId, VersionRef)>),
    /// Makes what was `previous` current again, and the other way round. All or none.
    Rollback(Class, Vec<ObjectId>),
    DestroyVersion(Class, DestroyVersion),
    Update(Class, UpdateObject),
    CreateService(ServiceId, Box<ServiceSpec>),
    RemoveService(ServiceId),
    /// Decisions of the scheduler.
    ChangeTasks(Vec<TaskChange>),
    /// What a node says of its tasks.
    ReportTasks(NodeId, Vec<TaskReport>),
    /// A newer data key is wanted than this epoch's: the leader makes it.
    WantEpochAfter(Epoch),
    /// From now on values are sealed under this epoch.
    UseEpoch(UseEpoch),
    /// Nothing is sealed under an older epoch any more: every manager destroys the older keys.
    DropEpochsBefore(Epoch),
    /// The same values under a newer data key. Those that changed meanwhile are passed over.
    Reseal(Vec<Resealed>),
    /// Every member can follow: newer commands may be proposed from now on.
    RaiseLevel(RaiseLevel),
    /// A node joined. Times, the version index and its number in Raft are set when it is applied.
    AdmitNode(Box<Node>),
    /// A node was given a certificate again, having proved itself with this key.
    RenewNode(NodeId, Issued, Option<KeyPin>),
    /// What a manager says of itself when it comes to take part.
    PlaceManager(NodeId, ManagerPlace),
    /// What a worker says of itself when it comes. It is heard of from then on.
    DescribeNode(NodeId, Box<Described>),
    UpdateNode(NodeUpdate),
    /// Refused for a node that is heard of, unless forced.
    RemoveNode(NodeId, bool),
    /// The other managers are lost for good: this one is left. What they prove themselves with is worth
    /// nothing any more.
    StandAlone(NodeId),
    /// Which nodes the leader hears of, and which not.
    ReportNodes(Vec<(NodeId, NodeStatus)>),
    /// A standing join token is another one from now on.
    RotateToken(Role, Sealed),
    /// A join token beside the standing ones.
    CreateToken(NewToken),
    /// It lets nobody in from now on.
    RevokeToken(TokenId),
    /// Turns autolock on, with this unlock key unless there is one already, or off.
    SetAutolock(Option<Sealed>),
    /// The unlock key is another one from now on. Refused while autolock is off.
    RotateUnlockKey(Sealed),
    /// A step of scheduled backups.
    Backup(backups::Step),
    /// A step of a rotation of the root.
    Root(root::Step),
}

impl Action {
    /// The objects that it names: those to be made among them.
    pub fn objects(&self) -> Vec<ObjectId> {
        match self {
            Self::CreateCluster(first) => vec![first.cluster.id.object()],
            Self::Create(_, objects) => objects.iter().map(|object| object.id).collect(),
            Self::Rotate(_, versions) => versions.iter().map(|version| version.id).collect(),
            Self::Activate(_, targets) => targets.iter().map(|(id, _)| *id).collect(),
            Self::Rollback(_, ids) => ids.clone(),
            Self::Remove(_, id) => vec![*id],
            Self::DestroyVersion(_, one) => vec![one.id],
            Self::Update(_, update) => vec![update.id],
            Self::CreateService(id, _) | Self::RemoveService(id) => vec![id.object()],
            Self::AdmitNode(node) => vec![node.id.object()],
            Self::StandAlone(id)
            | Self::RenewNode(id, ..)
            | Self::PlaceManager(id, _)
            | Self::DescribeNode(id, _)
            | Self::RemoveNode(id, _) => vec![id.object()],
            Self::UpdateNode(update) => vec![update.id.object()],
            Self::CreateToken(new) => vec![new.id.object()],
            Self::RevokeToken(id) => vec![id.object()],
            Self::ChangeTasks(_)
            | Self::ReportTasks(..)
            | Self::WantEpochAfter(_)
            | Self::UseEpoch(_)
            | Self::DropEpochsBefore(_)
            | Self::Reseal(_)
            | Self::ReportNodes(_)
            | Self::RaiseLevel(_)
            | Self::RotateToken(..)
            | Self::SetAutolock(_)
            | Self::RotateUnlockKey(_)
            | Self::Backup(_)
            | Self::Root(_) => Vec::new(),
        }
    }
}

/// A cluster and its first manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateCluster {
    pub cluster: Cluster,
    pub node: Node,
}

/// A step up of the feature level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaiseLevel {
    pub level: Level,
    /// The version of `cofferd` that proposed it: what a node that cannot follow is told to run.
    pub version: String,
}

/// A new secret or config with its first version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewObject {
    pub id: ObjectId,
    pub name: SecretName,
    pub labels: Labels,
    pub limit: VersionLimit,
    pub sealed: Sealed,
}

/// A data key that comes into use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseEpoch {
    pub epoch: Epoch,
    /// Of the key that is meant: two leaders may have made one of the same number.
    pub digest: Option<KeyDigest>,
    /// The duties for which the key was made, by their entries.
    pub fulfils: Vec<u64>,
}

impl From<Epoch> for UseEpoch {
    fn from(epoch: Epoch) -> Self {
        Self { epoch, digest: None, fulfils: Vec::new() }
    }
}

/// The next version of a secret or config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVersion {
    pub id: ObjectId,
    /// The number that it was sealed for. Refused if another version came first.
    pub number: u32,
    pub sealed: Sealed,
    /// Whether tasks read it at once; otherwise it waits as `pending`.
    pub activate: bool,
    /// A label of the user's own.
    pub label: Option<VersionLabel>,
    /// The version index that the caller has seen, if it matters.
    pub expected: Option<u64>,
}

/// One version whose value is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestroyVersion {
    pub id: ObjectId,
    pub number: u32,
    /// Also if tasks hold it. They keep what they have.
    pub is_forced: bool,
}

/// Changes what is not a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateObject {
    pub id: ObjectId,
    /// The version index that the caller has seen.
    pub expected: Option<u64>,
    /// All labels from now on, if they change.
    pub labels: Option<Labels>,
    pub limit: Option<VersionLimit>,
}

/// One value under a newer data key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resealed {
    pub what: SealedAt,
    pub sealed: Sealed,
}

/// Where a sealed value stands in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedAt {
    Version(Class, ObjectId, u32),
    /// One of the cluster's own; the key of the first root, if it is a root's.
    Own(Kind),
    /// The key of a later root.
    Root(Generation),
}

impl SealedAt {
    /// The key of a root. That of the first is named as it was before there were others.
    pub fn root(generation: Generation) -> Self {
        if generation == Generation(1) { Self::Own(Kind::RootKey) } else { Self::Root(generation) }
    }
}

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    pub pin: KeyPin,
    /// In PEM.
    pub certificate: String,
    pub end_secs: u64,
    /// What the certificate says it is. Refused if the record says otherwise by now.
    pub role: Role,
    /// What a stock engine asked for it with; empty for a node of ours.
    pub request: Vec<u8>,
    /// Who signed it. Refused if another root signs by now.
    pub issuer: Generation,
}

/// Where a manager is, and what it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagerPlace {
    pub addr: String,
    pub hostname: String,
    pub engine_version: String,
    /// The feature level that it knows.
    pub level: Level,
}

impl ManagerPlace {
    /// Whether a node's record says all of it.
    pub fn is_known_of(&self, node: &Node) -> bool {
        (&node.addr, &node.hostname, &node.engine_version, node.level)
            == (&self.addr, &self.hostname, &self.engine_version, self.level)
    }
}

/// Changes what an operator says of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeUpdate {
    pub id: NodeId,
    /// The version index that the caller has seen.
    pub expected: Option<u64>,
    pub role: Option<Role>,
    pub availability: Option<Availability>,
    /// All labels from now on, if they change.
    pub labels: Option<Labels>,
}

/// One decision about one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskChange {
    Create {
        id: TaskId,
        service: ServiceId,
        slot: u64,
        node: NodeId,
    },
    /// From now on the task should be in this state.
    Desire(TaskId, TaskState),
    /// Nothing of it runs any more, and nobody needs to see it.
    Forget(TaskId),
}

/// What a node says of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskReport {
    pub task: TaskId,
    pub status: TaskStatus,
    /// All that it holds, if that changed or something that was granted to it did.
    pub held: Option<Vec<Held>>,
    /// The last change of values that the node had seen then.
    pub seen: u64,
}

/// What applying a command gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub outcome: Outcome,
    pub events: Vec<Event>,
}

/// What came of a command. Equal on all managers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Created(Vec<ObjectId>),
    /// What got a version, and its number, in the order of the command.
    Rotated(Vec<(ObjectId, u32)>),
    Refused(Refusal),
}

/// A lawful no. The texts are Swarm's where Swarm has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "This node is already part of a swarm. Use \"coffer swarm leave\" to leave this swarm and join another one."
    )]
    ClusterExists,
    #[error("there is no cluster yet")]
    NoCluster,
    #[error("{kind} {name} already exists")]
    NameTaken { kind: ObjectKind, name: String },
    #[error("{kind} {reference} not found")]
    NotFound { kind: ObjectKind, reference: String },
    #[error("{kind} {reference} is ambiguous ({matches} matches found)")]
    Ambiguous { kind: ObjectKind, reference: String, matches: usize },
    #[error("{kind} '{name}' is in use by the following {}: {}", services_word(.services), .services.join(", "))]
    InUse { kind: ObjectKind, name: SecretName, services: Vec<String> },
    #[error("{}: {}", if .names.len() == 1 { "secret not found" } else { "secrets not found" }, .names.join(", "))]
    GrantedSecretsMissing { names: Vec<String> },
    #[error("update out of sequence")]
    OutOfSequence,
    /// Sealed before the data key was rotated. The manager seals again; nobody else sees this.
    #[error("the data key was rotated meanwhile")]
    OldKey,
    /// Another rotation took the number that a version was sealed for. As above, unless the caller wanted
    /// to be told.
    #[error("another version came first, again and again: try it later")]
    NumberTaken,
    #[error("{kind} '{name}' has no version {version}; see: coffer {kind} versions {name}")]
    NoVersion { kind: ObjectKind, name: SecretName, version: VersionRef },
    #[error("{kind} '{name}' has no previous version to go back to")]
    NoPrevious { kind: ObjectKind, name: SecretName },
    #[error("version {number} of {kind} '{name}' is {why}")]
    VersionNeeded { kind: ObjectKind, name: SecretName, number: u32, why: String },
    #[error(
        "version {number} of {kind} '{name}' is held by {}. Wait until they have switched, or destroy it with --force: they keep what they have",
        holders_words(.holders, *.others)
    )]
    VersionHeld {
        kind: ObjectKind,
        name: SecretName,
        number: u32,
        holders: Vec<HolderName>,
        /// Services that are not named here.
        others: u64,
    },
    #[error("{kind} '{name}' has as many version labels as are kept")]
    LabelsTooMany { kind: ObjectKind, name: SecretName },
    #[error("{kind} '{name}' is named twice in one request")]
    NamedTwice { kind: ObjectKind, name: SecretName },
    #[error("attempting to demote the last manager of the swarm")]
    LastManager,
    #[error("can't remove member from the raft: this would result in a loss of quorum")]
    QuorumLoss,
    #[error("key {key} doesn't exist in node's labels")]
    NoLabel { key: String },
    #[error(
        "node {id} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal"
    )]
    NodeIsManager { id: NodeId },
    #[error("node {id} is not down and can't be removed")]
    NodeIsNotDown { id: NodeId },
    #[error(
        "node {id} is a Docker Engine, which is a worker here and nothing else: a manager runs cofferd, and joins with the token that 'coffer swarm join-token manager' shows"
    )]
    NodeIsEngine { id: NodeId },
    #[error("the swarm has as many nodes as it may have: {max}")]
    NodesTooMany { max: usize },
    /// The node's role was changed while its certificate was made: it asks again.
    #[error("the role of node {id} changed meanwhile")]
    RoleChanged { id: NodeId },
    /// A renewal with a newer key came first: the node asks again with the key that it has now.
    #[error("the key that node {id} proved itself with is not in its record any more")]
    KeyEnded { id: NodeId },
    #[error("the key of the certificate request is another node's")]
    KeyTaken,
    /// Whoever shows it is told no more than of a token that never was.
    #[error("join token {id} is {standing}")]
    TokenWorthless { id: TokenId, standing: Standing },
    #[error("the swarm has as many join tokens as it may have: {max}; revoke some")]
    TokensTooMany { max: usize },
    #[error(
        "the managers' join token is being changed, because a manager went: see \"coffer swarm join-token manager\" for the new one"
    )]
    TokenChanges,
    #[error(transparent)]
    Root(#[from] RootRefusal),
}

/// A service of which tasks hold a version, and how many do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderName {
    /// Its ID once it has no name any more.
    pub service: String,
    pub tasks: u64,
}

/// What kind of object a refusal or an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    Secret,
    Service,
    Config,
    Node,
    Cluster,
    Token,
}

impl From<Class> for ObjectKind {
    fn from(class: Class) -> Self {
        match class {
            Class::Secret => Self::Secret,
            Class::Config => Self::Config,
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Secret => "secret",
            Self::Service => "service",
            Self::Config => "config",
            Self::Node => "node",
            Self::Cluster => "swarm",
            Self::Token => "token",
        })
    }
}

fn services_word(services: &[String]) -> &'static str {
    if services.len() == 1 { "service" } else { "services" }
}

/// `3 tasks: api (1), web (2)`.
fn holders_words(holders: &[HolderName], others: u64) -> String {
    let tasks = holders.iter().map(|holder| holder.tasks).fold(0, u64::saturating_add);
    let named = holders.iter().map(|HolderName { service, tasks }| format!("{service} ({tasks})"));
    let named = named.collect::<Vec<_>>().join(", ");
    match (tasks, others) {
        (1, 0) => format!("1 task: {named}"),
        (_, 0) => format!("{tasks} tasks: {named}"),
        (_, others) => format!("{tasks} tasks of {named}, and by {others} services more"),
    }
}

impl Refusal {
    /// Whether the same request is sealed and sent again: it has no answer yet.
    pub fn is_sealed_too_late(&self) -> bool {
        matches!(self, Self::OldKey | Self::NumberTaken)
    }

    /// A reference that names no single object.
    pub fn lookup(kind: impl Into<ObjectKind>, reference: &str, failed: LookupError) -> Self {
        let (kind, reference) = (kind.into(), reference.to_owned());
        match failed {
            LookupError::NotFound => Self::NotFound { kind, reference },
            LookupError::Ambiguous(matches) => Self::Ambiguous { kind, reference, matches },
        }
    }
}

#[cfg(test)]
mod tests;
