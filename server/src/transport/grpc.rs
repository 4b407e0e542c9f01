//! The gRPC adapter: one message of the bidirectional stream is one frame. The codec passes bytes through, so
//! that both transports carry the same encoded frames.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes};
use cercle_proto::frame::FRAME_BYTES_MAX;
use futures_util::{Sink, Stream};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;
use tonic::{
    Code, Status, Streaming,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::allowance::Allowance;
use crate::{
    limits,
    session::link::{Inbound, Link, LinkError},
};

/// Passes the bytes of messages through.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, frame: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(frame);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// A gRPC stream that carries frames.
#[derive(Debug)]
pub struct GrpcLink {
    inbound: Streaming<Bytes>,
    outbound: PollSender<Bytes>,
    allowance: Allowance,
}

/// What is sent to the peer.
#[derive(Debug)]
pub struct Outbound(mpsc::Receiver<Bytes>);

/// Ties a stream of messages, whose bytes `allowance` counts, to a session: the link for the session, the
/// stream for the response.
#[must_use]
pub fn link(inbound: Streaming<Bytes>, allowance: Allowance) -> (GrpcLink, Outbound) {
    // HTTP/2 flow control is behind this channel: a full channel is a peer that does not read.
    let (sender, receiver) = mpsc::channel(limits::GRPC_FRAMES_QUEUED_MAX);
    (GrpcLink { inbound, outbound: PollSender::new(sender), allowance }, Outbound(receiver))
}

/// A gRPC server for our one method.
#[must_use]
pub fn server() -> tonic::server::Grpc<RawCodec> {
    tonic::server::Grpc::new(RawCodec).max_decoding_message_size(FRAME_BYTES_MAX)
}

impl Stream for Outbound {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

impl Link for GrpcLink {
    const NAME: &'static str = "grpc";

    fn trust(&mut self) {
        self.allowance.lift();
    }

    async fn finish(mut self, limit: Duration) {
        // Dropping the sender ends the response; the queue in front of it is still sent. The peer's half is
        // read to its end, so that the stream is not reset before the peer has our last frame.
        self.outbound.close();
        let rest = async {
            let mut bytes = 0;
            while let Ok(Some(frame)) = self.inbound.message().await {
                bytes += frame.len();
                if bytes > limits::GOODBYE_BYTES_MAX {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(limit, rest).await;
    }
}

impl Stream for GrpcLink {
    type Item = Result<Inbound, LinkError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(match ready!(Pin::new(&mut self.inbound).poll_next(cx)) {
            None => None,
            Some(Ok(frame)) => Some(Ok(Inbound::Frame(frame))),
            // The decoder says "out of range" of a message above its limit.
            Some(Err(status)) if status.code() == Code::OutOfRange || self.allowance.is_spent() => {
                Some(Err(LinkError::TooLarge))
            }
            Some(Err(_)) => Some(Err(LinkError::Closed)),
        })
    }
}

impl Sink<Bytes> for GrpcLink {
    type Error = LinkError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.outbound.poll_reserve(cx).map_err(|_| LinkError::Closed)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Bytes) -> Result<(), LinkError> {
        self.outbound.send_item(frame).map_err(|_| LinkError::Closed)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        self.outbound.close();
        Poll::Ready(Ok(()))
    }
}
