//! The codec of every call: prost's, with buffers of the size that calls have. The library's own start at
//! 8 KiB each way, which `cofferd` would have to overwrite for every call.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::ProstCodec;

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
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = <ProstCodec<T, U> as Codec>::Encoder;
    type Decoder = <ProstCodec<T, U> as Codec>::Decoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::new(SENT_BYTES, YIELD_BYTES))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(BufferSettings::new(RECEIVED_BYTES, YIELD_BYTES))
    }
}
