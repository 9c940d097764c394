//! The bounds of the process runner, each with its reason.

use std::time::Duration;

/// A described task, encoded. The kernel takes 2 MiB of arguments and environment at most (a
/// quarter of an 8 MiB stack); half of it leaves room for its own bookkeeping.
pub const SPEC_BYTES_MAX: usize = 1 << 20;

/// A message between the runner's processes: a tag, a few numbers and a path of at most 4,096
/// bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// A path or command named in a failure; what is longer is cut.
pub(super) const SUBJECT_BYTES_MAX: usize = 4096;

/// Descriptors that travel with a message: the described task and the mount of its secrets.
pub(super) const DESCRIPTORS_MAX: usize = 2;

/// Setting a task up takes milliseconds; a machine that needs this long is in trouble, and the
/// caller is told.
pub(super) const HANDSHAKE_MAX: Duration = Duration::from_secs(20);

/// From the end of a task's namespace to the end of its helper; then the helper is killed.
pub(super) const REAP_MAX: Duration = Duration::from_secs(10);

/// Requests on their way to one task's helper: a caller beyond these waits.
pub(super) const REQUESTS_QUEUED_MAX: usize = 16;

/// A task's `/tmp`, `/var/tmp` and `/dev/shm`, each: enough for scratch files, too little to press
/// a small node.
pub(super) const SCRATCH_OPTIONS: &std::ffi::CStr = c"mode=1777,size=64m,nr_inodes=16384";

/// A task's `/run`: a few directories and an empty file or two.
pub(super) const RUN_OPTIONS: [(&str, &str); 3] =
    [("mode", "755"), ("size", "64k"), ("nr_inodes", "64")];

/// What stands in the place of a hidden directory: nothing.
pub(super) const HIDDEN_OPTIONS: &std::ffi::CStr = c"mode=555,size=4k,nr_inodes=1";

/// User and group numbers that a namespaced root owns: a full 16 bits, as most programs expect.
pub(super) const NAMESPACED_IDS: u32 = 65_536;
