//! The files of a bad disk: their numbers, and which of their bytes and names are safe.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::unsafe_yet::Changes;
use crate::disk::chance::Chance;

/// The number of the root of every FUSE file system.
pub(super) const ROOT: u64 = 1;

/// A change of names that is not safe yet, as it can be taken back.
enum Naming {
    Made(PathBuf),
    Renamed { from: PathBuf, to: PathBuf, replaced: Option<PathBuf> },
    Exchanged(PathBuf, PathBuf),
    Removed { path: PathBuf, kept: PathBuf },
}

/// All files.
pub(super) struct Files {
    root: PathBuf,
    /// Where files are kept that were removed or replaced, until that is safe.
    attic: PathBuf,
    number_given: u64,
    by_number: BTreeMap<u64, PathBuf>,
    by_path: BTreeMap<PathBuf, u64>,
    changes: BTreeMap<u64, Changes>,
    /// By folder, oldest first.
    namings: Vec<(PathBuf, Naming)>,
}

impl Files {
    /// Over a directory that is there, with another one beside it.
    pub(super) fn below(root: &Path) -> Self {
        let attic = root.with_extension("attic");
        fs::create_dir(&attic).expect("the directory is ours");
        let mut files = Self {
            root: root.to_owned(),
            attic,
            number_given: ROOT,
            by_number: BTreeMap::new(),
            by_path: BTreeMap::new(),
            changes: BTreeMap::new(),
            namings: Vec::new(),
        };
        files.forget_numbers();
        files
    }

    fn forget_numbers(&mut self) {
        self.by_number = BTreeMap::from([(ROOT, self.root.clone())]);
        self.by_path = BTreeMap::from([(self.root.clone(), ROOT)]);
    }

    /// Where a file is.
    pub(super) fn path(&self, number: u64) -> io::Result<PathBuf> {
        self.by_number.get(&number).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The number of a file.
    pub(super) fn number(&mut self, path: &Path) -> u64 {
        if let Some(number) = self.by_path.get(path) {
            return *number;
        }
        self.number_given += 1;
        self.by_path.insert(path.to_owned(), self.number_given);
        self.by_number.insert(self.number_given, path.to_owned());
        self.number_given
    }

    /// The changes of a file that are not safe.
    pub(super) fn changes(&mut self, number: u64) -> &mut Changes {
        self.changes.entry(number).or_default()
    }

    /// A file's bytes were flushed.
    pub(super) fn is_safe(&mut self, number: u64) {
        self.changes(number).are_safe();
    }

    /// The flush of a file's bytes failed.
    pub(super) fn lose(&mut self, number: u64) {
        let Ok(file) = self.path(number).and_then(|path| open(&path)) else { return };
        self.changes(number).are_lost(&file).expect("the directory below is good");
    }

    /// A folder's names were flushed.
    pub(super) fn names_are_safe(&mut self, number: u64) {
        let Ok(folder) = self.path(number) else { return };
        let (safe, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.namings).into_iter().partition(|(own, _)| *own == folder);
        self.namings = rest;
        for (_, naming) in safe {
            let (Naming::Removed { kept, .. } | Naming::Renamed { replaced: Some(kept), .. }) =
                naming
            else {
                continue;
            };
            fs::remove_file(&kept).or_else(|_| fs::remove_dir_all(&kept)).ok();
        }
    }

    fn note(&mut self, path: &Path, naming: Naming) {
        let folder = path.parent().expect("it is below the root").to_owned();
        self.namings.push((folder, naming));
    }

    /// A file or folder was made.
    pub(super) fn made(&mut self, path: &Path) -> u64 {
        self.note(path, Naming::Made(path.to_owned()));
        self.number(path)
    }

    /// Takes a file or an empty folder away.
    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let kept = self.keep(path)?;
        self.note(path, Naming::Removed { path: path.to_owned(), kept });
        Ok(())
    }

    /// Moves what is there out of the way.
    fn keep(&mut self, path: &Path) -> io::Result<PathBuf> {
        let kept = self.attic.join(crate::scratch::random_name());
        fs::rename(path, &kept)?;
        self.moved(path, &kept);
        Ok(kept)
    }

    /// Gives a file or folder another name.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::symlink_metadata(from)?;
        let replaced = if to.exists() { Some(self.keep(to)?) } else { None };
        fs::rename(from, to)?;
        self.moved(from, to);
        let (from, at) = (from.to_owned(), to.to_owned());
        self.note(to, Naming::Renamed { from, to: at, replaced });
        Ok(())
    }

    /// Has two change places.
    pub(super) fn exchange(&mut self, one: &Path, other: &Path) -> io::Result<()> {
        self.swap(one, other)?;
        self.note(one, Naming::Exchanged(one.to_owned(), other.to_owned()));
        Ok(())
    }

    fn swap(&mut self, one: &Path, other: &Path) -> io::Result<()> {
        let between = self.keep(one)?;
        fs::rename(other, one)?;
        self.moved(other, one);
        fs::rename(&between, other)?;
        self.moved(&between, other);
        Ok(())
    }

    /// Whatever was found below one path is found below another one now.
    fn moved(&mut self, from: &Path, to: &Path) {
        let below: Vec<(PathBuf, u64)> = self
            .by_path
            .range(from.to_owned()..)
            .take_while(|(path, _)| path.starts_with(from))
            .map(|(path, number)| (path.clone(), *number))
            .collect();
        for (path, number) in below {
            let rest = path.strip_prefix(from).expect("it starts so");
            let path_now = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            self.by_path.remove(&path);
            self.by_path.insert(path_now.clone(), number);
            self.by_number.insert(number, path_now);
        }
    }

    /// The power went: bytes and names that were not safe stayed or not, by chance. Of the names in a folder,
    /// an earlier change never goes while a later one stays.
    pub(super) fn after_outage(&mut self, chance: &mut Chance) {
        for (number, changes) in std::mem::take(&mut self.changes) {
            let Ok(file) = self.path(number).and_then(|path| open(&path)) else { continue };
            changes.after_outage(&file, chance).expect("the directory below is good");
        }
        let mut kept: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for (folder, _) in &self.namings {
            *kept.entry(folder.clone()).or_default() += 1;
        }
        let mut left = kept.clone();
        kept.values_mut().for_each(|count| *count = chance.below(*count + 1));
        for (folder, naming) in std::mem::take(&mut self.namings).into_iter().rev() {
            let left = left.get_mut(&folder).expect("it was counted");
            if *left > kept[&folder] {
                self.take_back(naming);
            }
            *left -= 1;
        }
        fs::remove_dir_all(&self.attic).expect("the directory is ours");
        fs::create_dir(&self.attic).expect("the directory is ours");
        self.forget_numbers();
    }

    /// A change inside a folder that was itself not there any more has nothing to take back.
    fn take_back(&mut self, naming: Naming) {
        match naming {
            Naming::Made(path) => {
                fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)).ok();
            }
            Naming::Renamed { from, to, replaced } => {
                fs::rename(&to, &from).ok();
                if let Some(replaced) = replaced {
                    fs::rename(&replaced, &to).ok();
                }
            }
            Naming::Exchanged(one, other) => {
                self.swap(&one, &other).ok();
            }
            Naming::Removed { path, kept } => {
                fs::rename(&kept, &path).ok();
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(path)
}
