//! What a JPEG file says of itself that its decoder does not tell: the number of colour components, and whether it ends.
//!
//! The decoder reads files of four components (CMYK) as red, green and blue by a rule that knows no inks, and fills what a cut file lacks with grey.

/// Facts of a file, as far as it can be followed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Of the frame header.
    pub components: Option<u8>,
    /// Whether an end-of-image marker follows the first scan.
    pub ends: bool,
}

/// Follows the markers (ITU T.81, annex B) to the first scan, then looks for the end: within a scan `ff` is followed by `00` or a restart, so `ff d9` is the marker.
pub(super) fn facts(bytes: &[u8]) -> Facts {
    let mut facts = Facts::default();
    let mut at = 2;
    while let Some(&[0xff, marker]) = bytes.get(at..at + 2) {
        match marker {
            // Fill bytes.
            0xff => {
                at += 1;
                continue;
            }
            0xd0..=0xd9 | 0x01 => {
                at += 2;
                continue;
            }
            _ => {}
        }
        let Some(&[high, low]) = bytes.get(at + 2..at + 4) else {
            break;
        };
        let length = 256 * usize::from(high) + usize::from(low);
        // Start of frame, of any kind.
        if matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf) {
            facts.components = bytes.get(at + 9).copied();
        }
        at += 2 + length;
        if marker == 0xda {
            let scan = bytes.get(at..).unwrap_or_default();
            facts.ends = scan.windows(2).any(|w| w == [0xff, 0xd9]);
            break;
        }
    }
    facts
}
