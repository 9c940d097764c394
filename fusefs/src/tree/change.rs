//! How a subtree comes, changes in one step, and goes.
//!
//! Each change names the nodes of which the kernel may hold something that is no longer true; telling
//! it is the caller's business.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Directory;
use super::File;
use super::Identity;
use super::Leaf;
use super::Listing;
use super::NoSuchSubtree;
use super::Place;
use super::PlantError;
use super::Revision;
use super::SUBTREE_FILES_MAX;
use super::Standing;
use super::Subtree;
use super::Tree;
use crate::name::FileName;
use crate::name::SubtreeId;
use crate::namespace::PidNamespace;
use crate::nodeid::Domain;
use crate::nodeid::Ino;
use crate::nodeid::NodeIds;
use crate::nodeid::ROOT;

/// What the kernel should forget after a change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Nodes whose attributes may differ now.
    pub(crate) attributes: Vec<Ino>,
    /// Nodes whose bytes must not be read from the page cache any more.
    pub(crate) pages: Vec<Ino>,
}

type Files = BTreeMap<FileName, File>;

impl Tree {
    /// Shows a new subtree.
    pub(crate) fn plant(&mut self, id: SubtreeId, files: Vec<File>) -> Result<(), PlantError> {
        if self.subtrees.contains_key(&id) {
            return Err(PlantError::AlreadyPlanted);
        }
        let files = by_name(files)?;
        let top = self.claim_directory(Domain::TopDirectory, id, 0);
        let modified_ns = newest(&files);
        self.directories
            .insert(top, Directory { subtree: id, listing: Arc::default(), modified_ns });
        let set = self.revision_of(id, &files);
        let planted = Subtree { top, set, previous: None, admitted: None, leaves: BTreeSet::new() };
        self.subtrees.insert(id, planted);
        self.show(id, &files);
        Ok(())
    }

    /// Changes all files of a subtree in one step. A file of a version that was there before keeps
    /// its node and its bytes. What is gone stays readable for its open descriptors only if the
    /// subtree still shows its secret.
    pub(crate) fn replace(
        &mut self,
        id: SubtreeId,
        files: Vec<File>,
    ) -> Result<Change, PlantError> {
        if !self.subtrees.contains_key(&id) {
            return Err(PlantError::NotPlanted);
        }
        let files = by_name(files)?;
        let set = self.revision_of(id, &files);
        if let Some(subtree) = self.subtrees.get_mut(&id)
            && subtree.set.digest != set.digest
        {
            let before = std::mem::replace(&mut subtree.set, set);
            let dropped = subtree.previous.replace(before);
            if let Some(dropped) = dropped.filter(|dropped| dropped.digest != set.digest) {
                self.directories.remove(&dropped.directory);
            }
        }
        let mut change = Change { attributes: self.show(id, &files), pages: Vec::new() };
        let objects = files.values().map(|file| file.object.as_str()).collect();
        self.retire(id, &objects, &mut change);
        Ok(change)
    }

    /// From now on the members of this PID namespace, and of those below it, may open.
    pub(crate) fn admit(
        &mut self,
        id: SubtreeId,
        namespace: PidNamespace,
    ) -> Result<(), NoSuchSubtree> {
        let subtree = self.subtrees.get_mut(&id).ok_or(NoSuchSubtree)?;
        subtree.admitted = Some(namespace);
        Ok(())
    }

    /// Takes one version away, also from descriptors that are open.
    pub(crate) fn revoke(&mut self, id: SubtreeId, object: &str, version: u64) -> Change {
        let mut change = Change::default();
        let Some(subtree) = self.subtrees.get(&id) else { return change };
        let is_meant =
            |leaf: &Leaf| leaf.identity.object == object && leaf.identity.version == version;
        let gone: BTreeSet<Ino> = subtree
            .leaves
            .iter()
            .filter(|ino| self.leaves.get(ino).is_some_and(is_meant))
            .copied()
            .collect();
        for directory in self.directories.values_mut().filter(|of| of.subtree == id) {
            if directory.listing.values().any(|ino| gone.contains(ino)) {
                Arc::make_mut(&mut directory.listing).retain(|_, ino| !gone.contains(ino));
            }
        }
        for ino in gone {
            self.take_away(id, ino, &mut change);
        }
        change
    }

    /// Takes the whole subtree away, also from descriptors that are open.
    pub(crate) fn fell(&mut self, id: SubtreeId) -> Change {
        let mut change = Change::default();
        let Some(subtree) = self.subtrees.remove(&id) else { return change };
        let sets = subtree.previous.iter().chain([&subtree.set]).map(|set| set.directory);
        for ino in sets.chain([subtree.top]) {
            self.directories.remove(&ino);
            change.attributes.push(ino);
        }
        for ino in subtree.leaves {
            self.take_away(id, ino, &mut change);
        }
        change
    }

    /// Takes every subtree away.
    pub(crate) fn clear(&mut self) -> Change {
        let mut change = Change::default();
        let ids: Vec<SubtreeId> = self.subtrees.keys().copied().collect();
        for id in ids {
            let felled = self.fell(id);
            change.attributes.extend(felled.attributes);
            change.pages.extend(felled.pages);
        }
        change
    }

    /// Which revision a set of files is.
    fn revision_of(&mut self, id: SubtreeId, files: &Files) -> Revision {
        let digest = digest(&self.ids, files);
        let same = self.subtrees.get(&id).and_then(|subtree| {
            let known = subtree.previous.iter().chain([&subtree.set]);
            known.copied().find(|known| known.digest == digest)
        });
        same.unwrap_or_else(|| {
            let directory = self.claim_directory(Domain::SetDirectory, id, digest);
            Revision { digest, directory }
        })
    }

    /// Puts the files into the top directory and into that of their revision. Gives back the nodes
    /// that were there before with other attributes.
    fn show(&mut self, id: SubtreeId, files: &Files) -> Vec<Ino> {
        let Some(subtree) = self.subtrees.get(&id) else { return Vec::new() };
        let (top, set) = (subtree.top, subtree.set);
        let mut changed = vec![top];
        let modified_ns = newest(files);
        for (directory, place) in
            [(top, Place::Top), (set.directory, Place::Set { digest: set.digest })]
        {
            let mut listing = Listing::new();
            for (name, file) in files {
                listing.insert(name.clone(), self.put(id, place, file, &mut changed));
            }
            if let Some(subtree) = self.subtrees.get_mut(&id) {
                subtree.leaves.extend(listing.values());
            }
            let listing = Arc::new(listing);
            self.directories.insert(directory, Directory { subtree: id, listing, modified_ns });
        }
        changed
    }

    fn put(&mut self, id: SubtreeId, place: Place, file: &File, changed: &mut Vec<Ino>) -> Ino {
        let identity = Identity {
            place,
            name: file.name.clone(),
            object: file.object.clone(),
            version: file.version,
        };
        let ino = self.claim_leaf(id, &identity);
        let before = self.leaves.remove(&ino);
        let mode = file.mode & 0o777;
        if let Some(before) = &before
            && (before.uid, before.gid, before.mode, before.modified_ns)
                != (file.uid, file.gid, mode, file.modified_ns)
        {
            changed.push(ino);
        }
        // A version keeps the bytes that it came with: an open descriptor may be half through them.
        let kept = before.as_ref().and_then(Leaf::content).map(Arc::clone);
        let content = kept.unwrap_or_else(|| Arc::clone(&file.content));
        let leaf = Leaf {
            subtree: id,
            identity,
            uid: file.uid,
            gid: file.gid,
            mode,
            modified_ns: file.modified_ns,
            standing: Standing::Current(content),
            opens: before.as_ref().map_or(0, |before| before.opens),
            is_paged: before.map_or_else(AtomicBool::default, |before| before.is_paged),
        };
        self.leaves.insert(ino, leaf);
        ino
    }

    /// Lets go of every leaf that no directory of the subtree shows.
    fn retire(&mut self, id: SubtreeId, objects: &BTreeSet<&str>, change: &mut Change) {
        let Some(subtree) = self.subtrees.get(&id) else { return };
        let is_granted = |leaf: &Leaf| objects.contains(leaf.identity.object.as_str());
        if let Some(previous) = subtree.previous
            && let Some(directory) = self.directories.get_mut(&previous.directory)
        {
            let leaves = &self.leaves;
            Arc::make_mut(&mut directory.listing)
                .retain(|_, ino| leaves.get(ino).is_some_and(is_granted));
        }
        let sets = subtree.previous.iter().chain([&subtree.set]).map(|set| set.directory);
        let shown: BTreeSet<Ino> = sets
            .chain([subtree.top])
            .filter_map(|ino| self.directories.get(&ino))
            .flat_map(|directory| directory.listing.values().copied())
            .collect();
        let gone: Vec<Ino> = subtree.leaves.difference(&shown).copied().collect();
        for ino in gone {
            match self.leaves.get_mut(&ino) {
                Some(leaf) if is_granted(leaf) && leaf.opens > 0 => leaf.supersede(),
                // Nothing to tell the kernel: its name leads elsewhere now, and attributes that
                // were forgotten could only be asked for in vain, in the middle of an open.
                Some(leaf) if is_granted(leaf) => self.remove_leaf(id, ino),
                Some(_) | None => self.take_away(id, ino, change),
            }
        }
    }

    /// Ends a leaf, also for open descriptors, and keeps its id from being used under them.
    fn take_away(&mut self, id: SubtreeId, ino: Ino, change: &mut Change) {
        match self.leaves.get_mut(&ino) {
            Some(leaf) if leaf.opens > 0 => {
                leaf.standing = Standing::Revoked;
                change.pages.push(ino);
            }
            Some(leaf) => {
                leaf.standing = Standing::Revoked;
                self.remove_leaf(id, ino);
                change.attributes.push(ino);
            }
            None => {}
        }
    }

    pub(super) fn remove_leaf(&mut self, id: SubtreeId, ino: Ino) {
        let removed = self.leaves.remove(&ino);
        if let Some(attributes) = removed.and_then(|leaf| leaf.attributes(ino)) {
            self.former.add(id, attributes);
        }
        if let Some(subtree) = self.subtrees.get_mut(&id) {
            subtree.leaves.remove(&ino);
        }
    }

    /// The id for a leaf: that of the node that is the same already, else a free one.
    fn claim_leaf(&self, id: SubtreeId, identity: &Identity) -> Ino {
        let (domain, digest) = match identity.place {
            Place::Top => (Domain::TopFile, 0),
            Place::Set { digest } => (Domain::SetFile, digest),
        };
        let parts: [&[u8]; 5] = [
            &id.number().to_le_bytes(),
            &digest.to_le_bytes(),
            identity.name.as_str().as_bytes(),
            identity.object.as_bytes(),
            &identity.version.to_le_bytes(),
        ];
        self.claim(domain, &parts, |ino| {
            self.leaves.get(&ino).is_some_and(|leaf| {
                let is_alive = leaf.content().is_some();
                is_alive && leaf.subtree == id && leaf.identity == *identity
            })
        })
    }

    fn claim_directory(&self, domain: Domain, id: SubtreeId, digest: u64) -> Ino {
        self.claim(domain, &[&id.number().to_le_bytes(), &digest.to_le_bytes()], |_| false)
    }

    /// The first id of the series for these parts that is free or the same thing already.
    fn claim(&self, domain: Domain, parts: &[&[u8]], is_same: impl Fn(Ino) -> bool) -> Ino {
        let mut salt: u64 = 0;
        loop {
            let salt_bytes = salt.to_le_bytes();
            let mut salted = parts.to_vec();
            salted.push(&salt_bytes);
            let ino = Ino(self.ids.value(domain, &salted));
            let is_taken = self.leaves.contains_key(&ino) || self.directories.contains_key(&ino);
            if ino > ROOT && (!is_taken || is_same(ino)) {
                return ino;
            }
            salt = salt.wrapping_add(1);
        }
    }
}

impl Leaf {
    fn supersede(&mut self) {
        if let Some(content) = self.content().map(Arc::clone) {
            self.standing = Standing::Superseded(content);
        }
    }
}

fn by_name(files: Vec<File>) -> Result<Files, PlantError> {
    if files.len() > SUBTREE_FILES_MAX {
        return Err(PlantError::TooManyFiles { files: files.len() });
    }
    let mut sorted = Files::new();
    for file in files {
        let name = file.name.clone();
        if sorted.insert(name.clone(), file).is_some() {
            return Err(PlantError::NameTwice { name: name.as_str().to_owned() });
        }
    }
    Ok(sorted)
}

fn newest(files: &Files) -> i64 {
    files.values().map(|file| file.modified_ns).max().unwrap_or(0)
}

/// A number for the whole set: names, secrets and versions.
fn digest(ids: &NodeIds, files: &Files) -> u64 {
    let versions: Vec<[u8; 8]> = files.values().map(|file| file.version.to_le_bytes()).collect();
    let parts: Vec<&[u8]> = files
        .values()
        .zip(&versions)
        .flat_map(|(file, version)| {
            [file.name.as_str().as_bytes(), file.object.as_bytes(), version.as_slice()]
        })
        .collect();
    ids.value(Domain::Revision, &parts)
}
