//! Why a WebSocket ends: close codes (RFC 6455 §7.4) and the errors that lead to them.

use std::fmt;

use super::frame::CONTROL_PAYLOAD_BYTES_MAX;

/// The longest reason: a control frame's payload less the code.
pub const REASON_BYTES_MAX: usize = CONTROL_PAYLOAD_BYTES_MAX - 2;

/// A close code. The constants are those that wsloop sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose is fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// The server shuts down.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// The peer broke the RFC.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// Text that is not UTF-8.
    pub const INVALID_DATA: CloseCode = CloseCode(1007);
    /// Abuse; the reason says which.
    pub const POLICY: CloseCode = CloseCode(1008);
    /// A message over the limit.
    pub const TOO_BIG: CloseCode = CloseCode(1009);
    /// The server restarts; the reason says when to come back (IANA registry).
    pub const RESTART: CloseCode = CloseCode(1012);
    /// Come back later: the peer reads too slowly (IANA registry).
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode(1013);

    /// The number on the wire.
    pub fn as_u16(self) -> u16 {
        self.0
    }

    /// Whether an endpoint may send this code (RFC 6455 §7.4.2 and IANA's registry): 1004 has no
    /// meaning, 1005, 1006 and 1015 must not be sent, 1016 to 2999 are reserved.
    fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// The payload of a close frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// None: the peer gave no code (RFC 6455 §7.1.5 calls that 1005).
    pub code: Option<CloseCode>,
    /// For people; may be empty.
    pub reason: String,
}

impl CloseFrame {
    /// A close frame with a code and a reason, which is cut where it is too long.
    pub fn new(code: CloseCode, reason: &str) -> CloseFrame {
        let end = reason.floor_char_boundary(REASON_BYTES_MAX);
        CloseFrame { code: Some(code), reason: reason[..end].to_owned() }
    }

    /// The answer to this frame: its code, back (RFC 6455 §5.5.1).
    pub fn reply(&self) -> CloseFrame {
        CloseFrame { code: self.code, reason: String::new() }
    }

    /// Reads an unmasked payload.
    ///
    /// # Errors
    /// One byte alone, a code that nobody may send, a reason that is not UTF-8.
    pub fn parse(payload: &[u8]) -> Result<CloseFrame, ProtocolError> {
        let Some((code, reason)) = payload.split_first_chunk::<2>() else {
            return match payload {
                [] => Ok(CloseFrame { code: None, reason: String::new() }),
                _ => Err(ProtocolError::ShortClose),
            };
        };
        let code = CloseCode(u16::from_be_bytes(*code));
        if !code.may_be_sent() {
            return Err(ProtocolError::BadCloseCode);
        }
        let reason = simdutf8::basic::from_utf8(reason).map_err(|_| ProtocolError::InvalidUtf8)?;
        Ok(CloseFrame { code: Some(code), reason: reason.to_owned() })
    }

    /// The bytes of the payload.
    pub fn payload(&self) -> Vec<u8> {
        match self.code {
            None => Vec::new(),
            Some(code) => [&code.0.to_be_bytes(), self.reason.as_bytes()].concat(),
        }
    }
}

/// A peer's violation. Each closes the connection with [`ProtocolError::close_code`] and a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// RSV1, RSV2 or RSV3 is set and no extension was agreed that allows it here (RFC 6455 §5.2).
    ReservedBits,
    /// Opcode 3 to 7 or 11 to 15 (§5.2).
    ReservedOpcode,
    /// A control frame without FIN (§5.5).
    FragmentedControl,
    /// A control frame of more than 125 bytes (§5.5).
    LongControl,
    /// A client's frame without a mask (§5.1).
    Unmasked,
    /// A length in more bytes than it needs (§5.2).
    LengthNotMinimal,
    /// A 64-bit length with its top bit set (§5.2).
    LengthTopBit,
    /// A continuation where no message is open (§5.4).
    UnexpectedContinuation,
    /// A new message inside a fragmented one (§5.4).
    ExpectedContinuation,
    /// A close frame of one byte (§5.5.1).
    ShortClose,
    /// A close code that must not be sent (§7.4).
    BadCloseCode,
    /// Text that is not UTF-8 (§8.1).
    InvalidUtf8,
    /// A message over `--max-message`.
    MessageTooBig,
    /// A message in more frames than `--max-fragments`.
    TooManyFragments,
    /// A message that took too long to arrive.
    MessageTooSlow,
    /// A compressed message that cannot be inflated (RFC 7692 §7.2.2).
    InvalidDeflate,
    /// A flood of pings and pongs.
    TooManyControlFrames,
}

impl ProtocolError {
    /// The code that the connection is closed with.
    pub fn close_code(self) -> CloseCode {
        match self {
            ProtocolError::InvalidUtf8 | ProtocolError::InvalidDeflate => CloseCode::INVALID_DATA,
            ProtocolError::MessageTooBig => CloseCode::TOO_BIG,
            ProtocolError::TooManyFragments
            | ProtocolError::MessageTooSlow
            | ProtocolError::TooManyControlFrames => CloseCode::POLICY,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            ProtocolError::ReservedBits => "a reserved bit is set that was not agreed on",
            ProtocolError::ReservedOpcode => "reserved opcode",
            ProtocolError::FragmentedControl => "a control frame cannot be fragmented",
            ProtocolError::LongControl => "a control frame has at most 125 bytes",
            ProtocolError::Unmasked => "a client must mask its frames",
            ProtocolError::LengthNotMinimal => "the length is not in its shortest form",
            ProtocolError::LengthTopBit => "the top bit of the length is set",
            ProtocolError::UnexpectedContinuation => "continuation without a message",
            ProtocolError::ExpectedContinuation => "new message inside a fragmented one",
            ProtocolError::ShortClose => "a close frame has no code or at least two bytes",
            ProtocolError::BadCloseCode => "this close code must not be sent",
            ProtocolError::InvalidUtf8 => "the text is not UTF-8",
            ProtocolError::MessageTooBig => "the message is over the limit of --max-message",
            ProtocolError::TooManyFragments => "the message has more fragments than --max-fragments",
            ProtocolError::MessageTooSlow => "the message took too long to arrive",
            ProtocolError::InvalidDeflate => "the compressed message cannot be inflated",
            ProtocolError::TooManyControlFrames => "more than 200 pings and pongs in a second",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_from_0_to_5000() {
        for code in 0..=5000_u16 {
            let allowed = match code {
                0..=999 | 1004..=1006 | 1015..=2999 | 5000.. => false,
                1000..=1003 | 1007..=1014 | 3000..=4999 => true,
            };
            let parsed = CloseFrame::parse(&code.to_be_bytes());
            assert_eq!(parsed.is_ok(), allowed, "{code}");
            if let Ok(frame) = parsed {
                assert_eq!(frame.reply().payload(), code.to_be_bytes());
            }
        }
    }

    #[test]
    fn payloads() {
        assert_eq!(CloseFrame::parse(b""), Ok(CloseFrame { code: None, reason: String::new() }));
        assert_eq!(CloseFrame::parse(b"\x03"), Err(ProtocolError::ShortClose));
        assert_eq!(CloseFrame::parse(b"\x03\xe8bye"), Ok(CloseFrame::new(CloseCode::NORMAL, "bye")));
        assert_eq!(CloseFrame::parse(b"\x03\xe8\xff"), Err(ProtocolError::InvalidUtf8));
        assert_eq!(CloseFrame { code: None, reason: String::new() }.payload(), b"");
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let frame = CloseFrame::new(CloseCode::POLICY, &"語".repeat(100));
        assert_eq!(frame.reason, "語".repeat(REASON_BYTES_MAX / 3));
        assert!(CloseFrame::parse(&frame.payload()).is_ok());
    }

    #[test]
    fn every_reason_of_ours_fits() {
        for error in
            [ProtocolError::ReservedBits, ProtocolError::TooManyFragments, ProtocolError::MessageTooBig]
        {
            assert!(error.to_string().len() <= REASON_BYTES_MAX);
        }
    }
}
