//! The pure tree: which files a subtree shows, which version is behind each, and what an open
//! descriptor may still read.
//!
//! It answers questions about node ids and does nothing else: no kernel, no thread, no clock. Who
//! the caller is has been decided before it is asked.

mod change;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use vault_memory::Guarded;

use crate::name::FileName;
use crate::name::NAME_BYTES_MAX;
use crate::name::SubtreeId;
use crate::namespace::PidNamespace;
use crate::nodeid::Ino;
use crate::nodeid::NodeIds;
use crate::nodeid::ROOT;

pub(crate) use change::Change;

/// The most files that one subtree shows. Each costs two node ids and one descriptor's worth of
/// kernel memory when it is looked up.
pub const SUBTREE_FILES_MAX: usize = 10_000;

/// The directory whose files are of one revision, for a set that must be read whole.
pub(crate) const SET_DIRECTORY: &str = "..data";

/// One file of a subtree: where it appears, who owns it, and the version behind it.
#[derive(Clone)]
pub struct File {
    /// The file's name in the subtree.
    pub name: FileName,
    /// The owner, as the host numbers users.
    pub uid: u32,
    /// The group, as the host numbers groups.
    pub gid: u32,
    /// The permission bits; only the low nine count.
    pub mode: u32,
    /// The identity of the secret.
    pub object: String,
    /// The version of the secret. A version never changes its content.
    pub version: u64,
    /// When the version was made, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// The bytes.
    pub content: Arc<Guarded>,
}

/// Why a set of files was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlantError {
    /// The subtree is there already.
    #[error("subtree is planted already")]
    AlreadyPlanted,
    /// The subtree is not there.
    #[error("subtree is not planted")]
    NotPlanted,
    /// Two files would have the same name.
    #[error("two files are named {name:?}")]
    NameTwice {
        /// The name.
        name: String,
    },
    /// More than a subtree shows.
    #[error("subtree has {files} files, at most {SUBTREE_FILES_MAX} are allowed")]
    TooManyFiles {
        /// Files that were asked for.
        files: usize,
    },
}

/// The subtree that was named is not planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("subtree is not planted")]
pub struct NoSuchSubtree;

/// A lawful no, to be turned into an error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoEntry,
    NameTooLong,
    NotADirectory,
    IsADirectory,
    Stale,
    Revoked,
    Stranger,
    ReadOnly,
    NoAttribute,
    BufferTooSmall,
    Unrecorded,
    NotOffered,
    NoSuchControl,
}

/// What `stat` tells of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) ino: Ino,
    pub(crate) is_directory: bool,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified_ns: i64,
}

/// A name that was found. The kernel may remember it only if it is lasting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) attributes: Attributes,
    pub(crate) lasting: bool,
}

/// What is needed to decide whether a caller may open a node, and to write it down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Door {
    pub(crate) subtree: SubtreeId,
    pub(crate) admitted: Option<PidNamespace>,
    pub(crate) name: FileName,
    pub(crate) object: String,
    pub(crate) version: u64,
}

/// The sizes that `statfs` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
}

/// Names and nodes of one directory.
pub(crate) type Listing = BTreeMap<FileName, Ino>;

/// All subtrees of one superblock.
pub(crate) struct Tree {
    ids: NodeIds,
    subtrees: BTreeMap<SubtreeId, Subtree>,
    directories: BTreeMap<Ino, Directory>,
    leaves: BTreeMap<Ino, Leaf>,
    former: Former,
}

/// The attributes of nodes that were superseded a while ago. The kernel may ask for them in the
/// middle of an open; a stale answer would use up the one repetition that the open itself needs.
#[derive(Default)]
struct Former {
    attributes: BTreeMap<Ino, (SubtreeId, Attributes)>,
    order: VecDeque<Ino>,
}

impl Former {
    fn add(&mut self, id: SubtreeId, attributes: Attributes) {
        if self.attributes.insert(attributes.ino, (id, attributes)).is_none() {
            self.order.push_back(attributes.ino);
        }
        if self.order.len() > FORMER_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.attributes.remove(&oldest);
        }
    }
}

struct Subtree {
    top: Ino,
    set: Revision,
    /// The revision before, for whoever is in its directory.
    previous: Option<Revision>,
    admitted: Option<PidNamespace>,
    /// Every leaf of the subtree, also those that only an open descriptor holds.
    leaves: BTreeSet<Ino>,
}

#[derive(Clone, Copy)]
struct Revision {
    digest: u64,
    directory: Ino,
}

struct Directory {
    subtree: SubtreeId,
    listing: Arc<Listing>,
    modified_ns: i64,
}

/// One version of one secret at one place.
struct Leaf {
    subtree: SubtreeId,
    identity: Identity,
    uid: u32,
    gid: u32,
    mode: u32,
    modified_ns: i64,
    standing: Standing,
    opens: u64,
    /// True once a read has filled the kernel's page cache.
    is_paged: AtomicBool,
}

/// What a node id stands for. Equal identities have equal bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    place: Place,
    name: FileName,
    object: String,
    version: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Top,
    Set { digest: u64 },
}

enum Standing {
    /// May be opened.
    Current(Arc<Guarded>),
    /// Only descriptors that are open already read it.
    Superseded(Arc<Guarded>),
    /// Nobody reads it; the node is kept so that its id is not used again under open descriptors.
    Revoked,
}

impl Leaf {
    fn content(&self) -> Option<&Arc<Guarded>> {
        match &self.standing {
            Standing::Current(content) | Standing::Superseded(content) => Some(content),
            Standing::Revoked => None,
        }
    }

    fn attributes(&self, ino: Ino) -> Option<Attributes> {
        self.content().map(|_| Attributes {
            ino,
            is_directory: false,
            size: self.size(),
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            modified_ns: self.modified_ns,
        })
    }

    fn size(&self) -> u64 {
        self.content().map_or(0, |content| u64::try_from(content.len()).unwrap_or(u64::MAX))
    }
}

impl Tree {
    pub(crate) fn new(ids: NodeIds) -> Self {
        Self {
            ids,
            subtrees: BTreeMap::new(),
            directories: BTreeMap::new(),
            leaves: BTreeMap::new(),
            former: Former::default(),
        }
    }

    /// True if the subtree is planted.
    pub(crate) fn has(&self, id: SubtreeId) -> bool {
        self.subtrees.contains_key(&id)
    }

    /// The subtree of a name below the hidden root. Only the daemon may be given the answer.
    pub(crate) fn subtree_named(&self, segment: &[u8]) -> Result<Found, Refusal> {
        let id = SubtreeId::of_segment(segment).ok_or(Refusal::NoEntry)?;
        let subtree = self.subtrees.get(&id).ok_or(Refusal::NoEntry)?;
        Ok(Found { attributes: self.attributes(subtree.top)?, lasting: false })
    }

    /// A name in a directory of a subtree.
    pub(crate) fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Found, Refusal> {
        if name.len() > NAME_BYTES_MAX {
            return Err(Refusal::NameTooLong);
        }
        let Some(directory) = self.directories.get(&parent) else {
            let is_leaf = self.leaves.contains_key(&parent);
            return Err(if is_leaf { Refusal::NotADirectory } else { Refusal::NoEntry });
        };
        let name = str::from_utf8(name).map_err(|_| Refusal::NoEntry)?;
        if name == SET_DIRECTORY {
            return self.set_directory(parent, directory.subtree);
        }
        let ino = directory.listing.get(name).ok_or(Refusal::NoEntry)?;
        Ok(Found { attributes: self.attributes(*ino)?, lasting: true })
    }

    fn set_directory(&self, parent: Ino, id: SubtreeId) -> Result<Found, Refusal> {
        let subtree = self.subtrees.get(&id).filter(|subtree| subtree.top == parent);
        let set = subtree.ok_or(Refusal::NoEntry)?.set;
        // Not lasting, so that each path through it is of the newest revision.
        Ok(Found { attributes: self.attributes(set.directory)?, lasting: false })
    }

    /// What `stat` tells.
    pub(crate) fn attributes(&self, ino: Ino) -> Result<Attributes, Refusal> {
        let of_directory = |modified_ns, mode| Attributes {
            ino,
            is_directory: true,
            size: 0,
            mode,
            uid: 0,
            gid: 0,
            modified_ns,
        };
        if ino == ROOT {
            return Ok(of_directory(0, 0o555));
        }
        if let Some(directory) = self.directories.get(&ino) {
            return Ok(of_directory(directory.modified_ns, 0o555));
        }
        match self.leaves.get(&ino) {
            Some(leaf) => leaf.attributes(ino).ok_or(Refusal::Stale),
            None => match self.former.attributes.get(&ino) {
                Some((id, attributes)) if self.has(*id) => Ok(*attributes),
                Some(_) | None => Err(Refusal::Stale),
            },
        }
    }

    /// The names and nodes of a directory, and who may list it. The hidden root lists nothing.
    pub(crate) fn listing(
        &self,
        ino: Ino,
    ) -> Result<(Arc<Listing>, Option<PidNamespace>), Refusal> {
        if ino == ROOT {
            return Ok((Arc::new(Listing::new()), None));
        }
        let Some(directory) = self.directories.get(&ino) else {
            let is_leaf = self.leaves.contains_key(&ino);
            return Err(if is_leaf { Refusal::NotADirectory } else { Refusal::Stale });
        };
        let subtree = self.subtrees.get(&directory.subtree).ok_or(Refusal::Stale)?;
        Ok((Arc::clone(&directory.listing), subtree.admitted.clone()))
    }

    /// What must be known before a node is opened. A superseded one is stale: the kernel looks the
    /// name up again and comes back with the new version. One that is held for the caller is not.
    pub(crate) fn door(&self, ino: Ino, is_held: bool) -> Result<Door, Refusal> {
        let leaf = self.openable(ino, is_held)?;
        let subtree = self.subtrees.get(&leaf.subtree).ok_or(Refusal::Stale)?;
        Ok(Door {
            subtree: leaf.subtree,
            admitted: subtree.admitted.clone(),
            name: leaf.identity.name.clone(),
            object: leaf.identity.object.clone(),
            version: leaf.identity.version,
        })
    }

    fn openable(&self, ino: Ino, is_held: bool) -> Result<&Leaf, Refusal> {
        if ino == ROOT || self.directories.contains_key(&ino) {
            return Err(Refusal::IsADirectory);
        }
        let leaf = self.leaves.get(&ino).ok_or(Refusal::Stale)?;
        match leaf.standing {
            Standing::Current(_) => Ok(leaf),
            Standing::Superseded(_) if is_held => Ok(leaf),
            Standing::Superseded(_) | Standing::Revoked => Err(Refusal::Stale),
        }
    }

    /// Counts a descriptor in, so that its version stays readable after it is superseded.
    pub(crate) fn open(&mut self, ino: Ino) -> Result<(), Refusal> {
        self.openable(ino, false)?;
        if let Some(leaf) = self.leaves.get_mut(&ino) {
            leaf.opens = leaf.opens.saturating_add(1);
        }
        Ok(())
    }

    /// Counts a descriptor out. True if the kernel may hold pages of the node that nobody uses now.
    pub(crate) fn release(&mut self, ino: Ino) -> bool {
        let Some(leaf) = self.leaves.get_mut(&ino) else { return false };
        leaf.opens = leaf.opens.saturating_sub(1);
        if leaf.opens > 0 {
            return false;
        }
        let is_paged = leaf.is_paged.swap(false, Ordering::Relaxed);
        let id = leaf.subtree;
        if !matches!(leaf.standing, Standing::Current(_)) {
            self.remove_leaf(id, ino);
        }
        is_paged
    }

    /// The bytes of a version and the part of them that a read is for. Never another version's. A
    /// read that fills the kernel's page cache is remembered, so that the pages are dropped.
    pub(crate) fn read(
        &self,
        ino: Ino,
        offset: u64,
        size: u32,
        is_for_pages: bool,
    ) -> Result<(Arc<Guarded>, Range<usize>), Refusal> {
        if ino == ROOT || self.directories.contains_key(&ino) {
            return Err(Refusal::IsADirectory);
        }
        // Only open descriptors read, so a node that is not there has been taken from one.
        let leaf = self.leaves.get(&ino).ok_or(Refusal::Revoked)?;
        let content = leaf.content().ok_or(Refusal::Revoked)?;
        if is_for_pages {
            leaf.is_paged.store(true, Ordering::Relaxed);
        }
        let len = content.len();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(len);
        let until = from.saturating_add(usize::try_from(size).unwrap_or(usize::MAX)).min(len);
        Ok((Arc::clone(content), from..until))
    }

    /// The value of an extended attribute, as text.
    pub(crate) fn attribute(&self, ino: Ino, attribute: &[u8]) -> Result<String, Refusal> {
        if ino == ROOT || self.directories.contains_key(&ino) {
            return Err(Refusal::NoAttribute);
        }
        let leaf = self.leaves.get(&ino).ok_or(Refusal::Stale)?;
        match attribute {
            ATTRIBUTE_ID => Ok(leaf.identity.object.clone()),
            ATTRIBUTE_VERSION => Ok(leaf.identity.version.to_string()),
            _ => Err(Refusal::NoAttribute),
        }
    }

    /// The names of the extended attributes, each closed by a NUL.
    pub(crate) fn attribute_names(&self, ino: Ino) -> Result<Vec<u8>, Refusal> {
        let is_directory = self.attributes(ino)?.is_directory;
        let names: &[&[u8]] = if is_directory { &[] } else { &[ATTRIBUTE_ID, ATTRIBUTE_VERSION] };
        Ok(names.iter().flat_map(|name| [*name, b"\0"]).flatten().copied().collect())
    }

    /// The size of what the subtree of a node shows.
    pub(crate) fn room(&self, ino: Ino) -> Room {
        let id = match self.directories.get(&ino) {
            Some(directory) => Some(directory.subtree),
            None => self.leaves.get(&ino).map(|leaf| leaf.subtree),
        };
        let top = id.and_then(|id| self.subtrees.get(&id)).map(|subtree| subtree.top);
        let Some(directory) = top.and_then(|top| self.directories.get(&top)) else {
            return Room { bytes: 0, files: 0 };
        };
        let sizes = directory.listing.values().filter_map(|ino| self.leaves.get(ino));
        Room {
            bytes: sizes.map(Leaf::size).fold(0, u64::saturating_add),
            files: u64::try_from(directory.listing.len()).unwrap_or(u64::MAX),
        }
    }
}

/// The most nodes whose attributes are kept after they were superseded.
const FORMER_MAX: usize = 4096;

const ATTRIBUTE_ID: &[u8] = b"user.secret.id";
const ATTRIBUTE_VERSION: &[u8] = b"user.secret.version";
