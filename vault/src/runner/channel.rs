//! A pair of sockets that keeps messages whole, carries descriptors, and ends when either side
//! dies. It does not read what it carries.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use super::limits::{DESCRIPTORS_MAX, MESSAGE_BYTES_MAX};

const DESCRIPTORS_SPACE: usize = rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX));

/// Whether a call may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Yes,
    No,
}

/// What arrived in one piece.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) bytes: Vec<u8>,
    pub(super) descriptors: Vec<OwnedFd>,
}

/// Two connected ends; neither outlives an exec by accident.
pub(super) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let kind = SocketType::SEQPACKET;
    rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
}

/// Sends one message with its descriptors. A message too long for the receiver is refused here.
pub(super) fn send(
    socket: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    wait: Wait,
) -> Result<(), Errno> {
    if bytes.is_empty() || bytes.len() > MESSAGE_BYTES_MAX {
        return Err(Errno::MSGSIZE);
    }
    let mut space = [MaybeUninit::uninit(); DESCRIPTORS_SPACE];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::MSGSIZE);
    }
    let mut flags = SendFlags::NOSIGNAL;
    flags.set(SendFlags::DONTWAIT, wait == Wait::No);
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, flags)
    })?;
    Ok(())
}

/// Receives one message; none when the other side is gone and everything that it said was read.
pub(super) fn receive(socket: impl AsFd, wait: Wait) -> Result<Option<Message>, Errno> {
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); DESCRIPTORS_SPACE];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut flags = RecvFlags::CMSG_CLOEXEC;
    flags.set(RecvFlags::DONTWAIT, wait == Wait::No);
    let received = loop {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        match rustix::net::recvmsg(&socket, &mut parts, &mut control, flags) {
            // A peer that died with unread requests leaves this once, before what it said last.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            other => break other?,
        }
    };
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            descriptors.extend(rights);
        }
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(Errno::MSGSIZE);
    }
    let bytes = buffer.get(..received.bytes).unwrap_or_default().to_vec();
    Ok((!bytes.is_empty()).then_some(Message { bytes, descriptors }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_whole_and_the_end_is_seen() {
        let (near, far) = pair().unwrap();
        let descriptor = rustix::fs::memfd_create("t", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        send(&near, b"one", &[descriptor.as_fd(), near.as_fd()], Wait::No).unwrap();
        send(&near, b"two", &[], Wait::No).unwrap();
        drop(near);
        let first = receive(&far, Wait::No).unwrap().unwrap();
        assert_eq!((first.bytes.as_slice(), first.descriptors.len()), (b"one".as_slice(), 2));
        drop(first);
        assert_eq!(receive(&far, Wait::No).unwrap().unwrap().bytes, b"two");
        assert!(receive(&far, Wait::No).unwrap().is_none());
    }

    #[test]
    fn last_words_survive_unread_requests() {
        let (near, far) = pair().unwrap();
        send(&far, b"never read", &[], Wait::No).unwrap();
        send(&near, b"last", &[], Wait::No).unwrap();
        drop(near);
        assert_eq!(receive(&far, Wait::No).unwrap().unwrap().bytes, b"last");
        assert!(receive(&far, Wait::No).unwrap().is_none());
    }

    #[test]
    fn oversize_messages_are_refused_on_both_sides() {
        let (near, far) = pair().unwrap();
        let long = vec![1; MESSAGE_BYTES_MAX + 1];
        assert_eq!(send(&near, &long, &[], Wait::No), Err(Errno::MSGSIZE));
        assert_eq!(send(&near, &[], &[], Wait::No), Err(Errno::MSGSIZE));
        rustix::net::send(&near, &long, SendFlags::empty()).unwrap();
        assert_eq!(receive(&far, Wait::No).map(|_| ()), Err(Errno::MSGSIZE));
    }

    #[test]
    fn nothing_to_read_is_told_apart_from_the_end() {
        let (_near, far) = pair().unwrap();
        assert_eq!(receive(&far, Wait::No).map(|_| ()), Err(Errno::AGAIN));
    }
}
