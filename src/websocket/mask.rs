//! Unmasking (RFC 6455 §5.3).

/// Applies a mask in place. `offset` says how many bytes of the payload came before these.
pub fn apply(mask: [u8; 4], offset: u64, bytes: &mut [u8]) {
    let turned = [0, 1, 2, 3].map(|index: u64| {
        let place = (offset.wrapping_add(index)) % 4;
        mask[usize::from(place as u8 & 3)]
    });
    let word = u32::from_ne_bytes(turned);
    let wide = u64::from(word) << 32 | u64::from(word);
    // Words of eight bytes, which the compiler turns into vectors; then the rest.
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(turned.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_at_any_offset_as_the_rfc_defines_it() {
        let mask = [0x37, 0xFA, 0x21, 0x3D];
        for length in 0..70 {
            for offset in (0..9).chain([u64::MAX - 3]) {
                let plain: Vec<u8> = (0..length).collect();
                let wanted: Vec<u8> = plain
                    .iter()
                    .zip(0_u64..)
                    .map(|(byte, index)| {
                        byte ^ mask[usize::try_from(offset.wrapping_add(index) % 4).expect("below 4")]
                    })
                    .collect();
                let mut bytes = plain.clone();
                apply(mask, offset, &mut bytes);
                assert_eq!(bytes, wanted, "{length} bytes at {offset}");
            }
        }
    }

    #[test]
    fn the_example_of_rfc_6455_section_5_7() {
        let mut bytes = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        apply([0x37, 0xfa, 0x21, 0x3d], 0, &mut bytes);
        assert_eq!(&bytes, b"Hello");
    }
}
