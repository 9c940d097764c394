//! A connection whose small writes go out together: HTTP/2 flushes after each larger frame, and every flush would
//! be a call of the kernel, and under TLS a record.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is held back at most. More goes out at once.
const HELD_BYTES_MAX: usize = 32 << 10;

/// Holds back what is written until its task was run once more, behind all others that can run: they may have more
/// to say. A task that drives HTTP/2 reads each time it runs, and flushes at the end.
pub(crate) struct Corked<S> {
    stream: S,
    /// What was taken and not sent. Freed, and so wiped, each time that it is.
    held: Vec<u8>,
    /// How much of that was sent.
    sent: usize,
    /// Counts the runs of the task.
    run: u64,
    /// The run in which a flush was put off.
    put_off: Option<u64>,
    /// Whether anything was written since the last flush.
    is_new: bool,
}

impl<S> Corked<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, held: Vec::new(), sent: 0, run: 0, put_off: None, is_new: false }
    }
}

impl<S: AsyncWrite + Unpin> Corked<S> {
    /// Sends what is held back.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.held.len() {
            let rest = &self.held[self.sent..];
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => self.sent += more,
            }
        }
        self.held = Vec::new();
        (self.sent, self.put_off) = (0, None);
        Poll::Ready(Ok(()))
    }

    /// Whether a flush can wait: the first one of a run, and others of the same run that have something new.
    fn can_wait(&mut self, context: &Context<'_>) -> bool {
        let is_new = std::mem::take(&mut self.is_new);
        match self.put_off {
            None => {
                self.put_off = Some(self.run);
                context.waker().wake_by_ref();
                true
            }
            Some(run) => is_new && run == self.run,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Corked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.run = self.run.wrapping_add(1);
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.held.len() + bytes.len() > HELD_BYTES_MAX {
            ready!(self.poll_send(context))?;
        }
        if bytes.len() > HELD_BYTES_MAX {
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        }
        self.held.extend_from_slice(bytes);
        self.is_new = true;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.held.is_empty() {
            if self.can_wait(context) {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_send(context))?;
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Wake, Waker};

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    /// Knows whether somebody asked for another run.
    #[derive(Default)]
    struct Asked(AtomicBool);

    impl Wake for Asked {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Both ends, with room for so many bytes between them.
    fn corked(room: usize) -> (Corked<DuplexStream>, DuplexStream) {
        let (one, other) = tokio::io::duplex(room);
        (Corked::new(one), other)
    }

    /// Writes so much and flushes, as a task does in one run.
    fn say(stream: &mut Corked<DuplexStream>, context: &mut Context<'_>, count: usize) {
        let mut stream = Pin::new(stream);
        let written = stream.as_mut().poll_write(context, &vec![1; count]);
        assert!(matches!(written, Poll::Ready(Ok(all)) if all == count));
        assert!(stream.as_mut().poll_flush(context).is_ready());
    }

    /// The start of a run: there is nothing to be read.
    fn run(stream: &mut Corked<DuplexStream>, context: &mut Context<'_>) {
        let mut buffer = [0; 10];
        let read = Pin::new(stream).poll_read(context, &mut ReadBuf::new(&mut buffer));
        assert!(read.is_pending());
    }

    /// How much has come to the other end.
    fn come(other: &mut DuplexStream, context: &mut Context<'_>) -> usize {
        let mut buffer = [0; 1 << 10];
        let mut buffer = ReadBuf::new(&mut buffer);
        match Pin::new(other).poll_read(context, &mut buffer) {
            Poll::Ready(read) => read.map(|()| buffer.filled().len()).unwrap(),
            Poll::Pending => 0,
        }
    }

    #[test]
    fn flushes_of_one_run_send_nothing_and_the_next_run_sends_all() {
        let (mut stream, mut other) = corked(1 << 20);
        let asked = Arc::new(Asked::default());
        let waker = Waker::from(Arc::clone(&asked));
        let context = &mut Context::from_waker(&waker);
        run(&mut stream, context);
        (0..3).for_each(|_| say(&mut stream, context, 100));
        assert_eq!(come(&mut other, context), 0);
        assert!(asked.0.load(Ordering::Relaxed), "it runs again, even if nothing happens");
        run(&mut stream, context);
        say(&mut stream, context, 100);
        assert_eq!(come(&mut other, context), 400, "with what the next run added");
    }

    #[test]
    fn a_flush_with_nothing_new_sends() {
        let (mut stream, mut other) = corked(1 << 20);
        let context = &mut Context::from_waker(Waker::noop());
        say(&mut stream, context, 100);
        assert!(Pin::new(&mut stream).poll_flush(context).is_ready());
        assert_eq!(come(&mut other, context), 100);
    }

    /// Sends all, in parts of these sizes.
    async fn send(stream: &mut Corked<DuplexStream>, mut rest: &[u8], sizes: &[usize]) {
        for size in sizes {
            let part = rest.split_off(..*size).unwrap();
            stream.write_all(part).await.unwrap();
            stream.flush().await.unwrap();
        }
        stream.shutdown().await.unwrap();
    }

    #[tokio::test]
    async fn everything_arrives_in_order_whatever_its_size_and_however_little_room_there_is() {
        let (mut stream, mut other) = corked(1_000);
        let sizes = [1, 10, 999, 5_000, HELD_BYTES_MAX, 3 * HELD_BYTES_MAX + 1, 0, 2];
        let all: Vec<u8> = (0..=u8::MAX).cycle().take(sizes.iter().sum()).collect();
        let sent = all.clone();
        let sending = tokio::spawn(async move { send(&mut stream, &sent, &sizes).await });
        let mut come = Vec::new();
        other.read_to_end(&mut come).await.unwrap();
        sending.await.unwrap();
        assert_eq!(come, all);
    }
}
