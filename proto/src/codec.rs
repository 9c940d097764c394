//! The codec of every call: prost's, with buffers of the size that calls have, and a bound on what a message
//! takes. The library's own buffers start at 8 KiB each way, which `cofferd` would have to overwrite for
//! every call.

use std::marker::PhantomData;

use prost::Message;
use prost::bytes::Buf;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder};

use crate::bound::{self, BoundError, Bounded};

/// Where a message that is sent starts: most answers are an index and some IDs.
const SENT_BYTES: usize = 512;
/// Where a message that is received starts. The library makes room for it a second time behind what has
/// arrived, so this is twice a secret of ordinary size and its name. Larger ones grow.
const RECEIVED_BYTES: usize = 2_560;
/// Past so many bytes a stream of messages is handed on: the library's own bound.
const YIELD_BYTES: usize = 32 << 10;

/// The codec of one call.
pub struct MessageCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for MessageCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for MessageCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Bounded + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = <ProstCodec<T, U> as Codec>::Encoder;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::new(SENT_BYTES, YIELD_BYTES))
    }

    fn decoder(&mut self) -> Self::Decoder {
        let settings = BufferSettings::new(RECEIVED_BYTES, YIELD_BYTES);
        BoundedDecoder(ProstCodec::<T, U>::raw_decoder(settings))
    }
}

/// Reads a message if it takes little enough.
pub struct BoundedDecoder<U>(ProstDecoder<U>);

impl<U> Default for BoundedDecoder<U> {
    fn default() -> Self {
        Self(ProstDecoder::default())
    }
}

impl<U: Message + Bounded + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if buffer.chunk().len() < buffer.remaining() {
            return Err(Status::internal("the message is in pieces"));
        }
        bound::bound::<U>(buffer.chunk(), U::MEMORY_BYTES_MAX).map_err(|error| match error {
            BoundError::TooMuch(_) => Status::out_of_range(error.to_string()),
            BoundError::Malformed | BoundError::Protobuf(_) => Status::internal(error.to_string()),
        })?;
        self.0.decode(buffer)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}
