//! How the first process of a task becomes the task's user, for good: groups, numbers,
//! capabilities, and no way to gain anything by an exec.

use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

use super::super::error::{At, Failure, Step};
use super::super::spec::TaskUser;

/// What root of a user namespace keeps: powers over the users and files that its own map names.
/// None of them reaches a mount, another namespace's process, a device or the network's settings.
const NAMESPACED_ROOT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID);

/// Becomes the task's user. Nothing after this returns to what was before.
pub(super) fn give_up(user: TaskUser) -> Result<(), Failure> {
    let (uid, gid, kept) = match user {
        TaskUser::Dynamic { uid, gid } => (uid, gid, CapabilitySet::empty()),
        TaskUser::NamespacedRoot { .. } => (0, 0, NAMESPACED_ROOT),
        TaskUser::Rootless => (0, 0, CapabilitySet::empty()),
    };
    rustix::thread::set_no_new_privs(true).at(Step::Capabilities, "no_new_privs")?;
    drop_groups(user)?;
    let gid = Gid::from_raw(gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid).at(Step::User, "setresgid")?;
    // Both need a capability that the change of user may take away.
    bound_capabilities(kept)?;
    lock_secure_bits(kept)?;
    let uid = Uid::from_raw(uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid).at(Step::User, "setresuid")?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: none };
    rustix::thread::set_capabilities(None, sets).at(Step::Capabilities, "capset")
}

fn drop_groups(user: TaskUser) -> Result<(), Failure> {
    match rustix::thread::set_thread_groups(&[]) {
        // A user namespace made without privilege may not drop groups, lest a group's denial be
        // escaped.
        Err(Errno::PERM) if user == TaskUser::Rootless => Ok(()),
        other => other.at(Step::User, "setgroups"),
    }
}

/// Takes all but `kept` out of what any later exec could give, and out of the ambient set.
fn bound_capabilities(kept: CapabilitySet) -> Result<(), Failure> {
    rustix::thread::clear_ambient_capability_set().at(Step::Capabilities, "ambient set")?;
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // The first number that this kernel does not know.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(Failure::new(Step::Capabilities, "bounding set", errno)),
        }
    }
    Ok(())
}

/// Makes the user number zero mean nothing to an exec, where no capability is kept anyway.
fn lock_secure_bits(kept: CapabilitySet) -> Result<(), Failure> {
    let always = CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    let powerless = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED;
    let bits = if kept.is_empty() { always | powerless } else { always };
    rustix::thread::set_capabilities_secure_bits(bits).at(Step::Capabilities, "securebits")
}
