//! How messages travel over a stream: a greeting each way, then frames.
//!
//! A greeting is eight bytes, the same in all versions: `qfp\0`, the version of the messages and a
//! [`Welcome`], both little-endian 16-bit numbers. A frame is the length of its message, a
//! little-endian 32-bit number, and the message, as postcard writes it. Messages hold keys, so what
//! they pass through is wiped.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// Of the messages: another one for every change of them.
pub const VERSION: u16 = 1;
/// Longest message, bytes: a configuration with a hundred thousand rules is a tenth of it.
pub const MAX_MESSAGE: usize = 1 << 27;
/// Longest request of who may only look, bytes.
pub const MAX_LOOK: usize = 1 << 12;

const MAGIC: [u8; 4] = *b"qfp\0";

/// What the router says to who has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Welcome {
    /// Who has connected says this, and so does the router: requests are answered.
    Come = 0,
    /// Its messages have another version.
    OtherVersion = 1,
    /// It is not for this user.
    NotAllowed = 2,
    /// Too many have connected.
    Full = 3,
}

/// Why a message is not sent or understood.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other end is gone, or the system does not do it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is too long.
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    /// It is no message.
    #[error("not a message: {0}")]
    Malformed(#[from] postcard::Error),
    /// Not the beginning of a conversation.
    #[error("not a router's socket")]
    NoGreeting,
}

/// Writes a greeting.
///
/// # Errors
/// As of the stream.
pub fn greet(stream: &mut impl Write, version: u16, welcome: Welcome) -> Result<(), WireError> {
    let mut greeting = [0; 8];
    greeting[..4].copy_from_slice(&MAGIC);
    greeting[4..6].copy_from_slice(&version.to_le_bytes());
    greeting[6..].copy_from_slice(&(welcome as u16).to_le_bytes());
    Ok(stream.write_all(&greeting)?)
}

/// Reads a greeting: the version, and what it says.
///
/// # Errors
/// As of the stream, or it is none.
pub fn greeting(stream: &mut impl Read) -> Result<(u16, Welcome), WireError> {
    let mut greeting = [0; 8];
    stream.read_exact(&mut greeting)?;
    let [m0, m1, m2, m3, v0, v1, w0, w1] = greeting;
    let all = [Welcome::Come, Welcome::OtherVersion, Welcome::NotAllowed, Welcome::Full];
    let welcome = all.into_iter().find(|one| *one as u16 == u16::from_le_bytes([w0, w1]));
    match welcome {
        Some(welcome) if [m0, m1, m2, m3] == MAGIC => Ok((u16::from_le_bytes([v0, v1]), welcome)),
        _ => Err(WireError::NoGreeting),
    }
}

/// The bytes of a message.
///
/// # Errors
/// It is too long.
pub fn encode(message: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, WireError> {
    let length = postcard::experimental::serialized_size(message)?;
    if length > MAX_MESSAGE {
        return Err(WireError::TooLong(length));
    }
    let mut bytes = Zeroizing::new(vec![0; length]);
    postcard::to_slice(message, &mut bytes)?;
    Ok(bytes)
}

/// The message that `bytes` are, to the last of them.
///
/// # Errors
/// They are none.
pub fn decode<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, WireError> {
    match postcard::take_from_bytes(bytes)? {
        (message, []) => Ok(message),
        _ => Err(postcard::Error::DeserializeBadEncoding.into()),
    }
}

/// Writes a frame with the bytes of a message.
///
/// # Errors
/// As of the stream.
pub fn send(stream: &mut impl Write, message: &[u8]) -> Result<(), WireError> {
    let length = u32::try_from(message.len()).map_err(|_| WireError::TooLong(message.len()))?;
    stream.write_all(&length.to_le_bytes())?;
    stream.write_all(message)?;
    Ok(stream.flush()?)
}

/// Reads a frame: the bytes of a message, `limit` at most; none at the end of the stream.
///
/// # Errors
/// As of the stream, or it is too long.
pub fn receive(
    stream: &mut impl Read,
    limit: usize,
) -> Result<Option<Zeroizing<Vec<u8>>>, WireError> {
    let mut length = [0; 4];
    match stream.read(&mut length[..1])? {
        0 => return Ok(None),
        _ => stream.read_exact(&mut length[1..])?,
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > limit {
        return Err(WireError::TooLong(length));
    }
    let mut message = Zeroizing::new(vec![0; length]);
    stream.read_exact(&mut message)?;
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Call, Failure, Request, Response, Status};

    #[test]
    fn what_is_sent_is_received_and_the_end_is_the_end() {
        let call = Call::ChangeRoutes(Vec::new());
        let request = Request { id: 7, call };
        let response = Response { id: 7, outcome: Err(Failure::new(Status::NotFound, "a\nb")) };
        let mut stream = Vec::new();
        greet(&mut stream, VERSION, Welcome::Come).unwrap();
        send(&mut stream, &encode(&request).unwrap()).unwrap();
        send(&mut stream, &encode(&response).unwrap()).unwrap();
        let mut stream = stream.as_slice();
        assert_eq!(greeting(&mut stream).unwrap(), (VERSION, Welcome::Come));
        let one = receive(&mut stream, 100).unwrap().unwrap();
        assert_eq!(decode::<Request>(&one).unwrap(), request);
        let two = receive(&mut stream, 100).unwrap().unwrap();
        assert_eq!(decode::<Response>(&two).unwrap(), response);
        assert!(receive(&mut stream, 100).unwrap().is_none());
    }

    #[test]
    fn what_is_too_long_or_goes_on_is_refused() {
        let long = 101_u32.to_le_bytes();
        assert!(matches!(receive(&mut long.as_slice(), 100), Err(WireError::TooLong(101))));
        let mut bytes = encode(&Request { id: 1, call: Call::Boot }).unwrap().to_vec();
        bytes.push(0);
        assert!(matches!(decode::<Request>(&bytes), Err(WireError::Malformed(_))));
        assert!(matches!(greeting(&mut b"HTTP/1.1".as_slice()), Err(WireError::NoGreeting)));
    }
}
