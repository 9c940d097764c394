//! A node's folder, with everything that is done to it in the trace.

use std::io;
use std::sync::Arc;

use vault::disk::folder::{Folder, StoredFile};

use crate::stage::{digest_of, stage};

/// A folder that tells what is done.
pub struct Told {
    pub name: String,
    pub inner: Arc<dyn Folder>,
}

struct ToldFile {
    name: String,
    inner: Arc<dyn StoredFile>,
}

fn told<T>(what: &str, name: &str, result: io::Result<T>) -> io::Result<T> {
    stage().note(|| {
        let failed = if result.is_ok() { "" } else { ", failed" };
        format!("{what} {name}{failed}")
    });
    result
}

impl Told {
    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.name)
    }

    fn file(&self, name: &str, inner: Arc<dyn StoredFile>) -> Arc<dyn StoredFile> {
        Arc::new(ToldFile { name: self.path(name), inner })
    }
}

impl Folder for Told {
    fn names(&self) -> io::Result<Vec<String>> {
        self.inner.names()
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.inner.read(name)
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        self.inner.length(name)
    }

    fn read_at(&self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.inner.read_at(name, offset, into)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let file = told("create", &self.path(name), self.inner.create(name))?;
        Ok(self.file(name, file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        told("rename", &self.path(&format!("{from} to {to}")), self.inner.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        told("remove", &self.path(name), self.inner.remove(name))
    }

    fn flush(&self) -> io::Result<()> {
        told("flush names", &self.name, self.inner.flush())
    }

    fn folder(&self, name: &str) -> io::Result<Arc<dyn Folder>> {
        Ok(Arc::new(Self {
            name: format!("{}/", self.path(name)),
            inner: self.inner.folder(name)?,
        }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        Ok(self.file(name, self.inner.open(name)?))
    }
}

impl StoredFile for ToldFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let what = format!("write {offset}+{} {:08x}", bytes.len(), digest_of(bytes));
        told(&what, &self.name, self.inner.write_at(offset, bytes))
    }

    fn flush(&self) -> io::Result<()> {
        told("flush", &self.name, self.inner.flush())
    }
}
