//! Sends a request that carries a secret and wipes it once it is encoded.
//!
//! What the transport copies out of the encoded request is out of reach here.

use std::marker::PhantomData;

use prost::Message;
use proto::bound::Bounded;
use proto::codec::BoundedDecoder;
use tonic::Status;
use tonic::codec::Codec;
use tonic::codec::EncodeBuf;
use tonic::codec::Encoder;

/// A message that can wipe its secret bytes.
pub(crate) trait Wipe {
    fn wipe(&mut self);
}

/// A request that is wiped when it goes away, sent or not.
pub(crate) struct Wiped<M: Wipe>(pub(crate) M);

impl<M: Wipe> Drop for Wiped<M> {
    fn drop(&mut self) {
        self.0.wipe();
    }
}

/// The codec for one call with a `Wiped` request.
pub(crate) struct WipingCodec<M, R>(PhantomData<(M, R)>);

impl<M, R> WipingCodec<M, R> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<M, R> Codec for WipingCodec<M, R>
where
    M: Message + Wipe + 'static,
    R: Message + Bounded + Default + 'static,
{
    type Encode = Wiped<M>;
    type Decode = R;
    type Encoder = WipingEncoder<M>;
    type Decoder = BoundedDecoder<R>;

    fn encoder(&mut self) -> Self::Encoder {
        WipingEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder::default()
    }
}

/// Encodes a message, then wipes it.
pub(crate) struct WipingEncoder<M>(PhantomData<M>);

impl<M: Message + Wipe> Encoder for WipingEncoder<M> {
    type Item = Wiped<M>;
    type Error = Status;

    fn encode(&mut self, item: Wiped<M>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.0.encode(buffer).map_err(|_| Status::internal("the request does not fit its buffer"))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Noted<'a>(&'a Cell<u32>);

    impl Wipe for Noted<'_> {
        fn wipe(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn case_37_a_request_that_goes_away_is_wiped_once() {
        let wipes = Cell::new(0);
        let request = Wiped(Noted(&wipes));
        assert_eq!(wipes.get(), 0);
        drop(request);
        assert_eq!(wipes.get(), 1);
    }
}
