use super::*;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder};
use std::path::PathBuf;

/// A folder of its own.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
    /// What is said of a file that cannot be read; it names the file.
    fn refusal(&self, name: &str) -> String {
        let path = self.path(name);
        let text = Picture::read(&path).unwrap_err().to_string();
        assert!(text.starts_with(&path.display().to_string()), "{text}");
        text
    }
}

fn picture(width: u32, height: u32, channels: usize, bits: u32) -> Picture {
    let n = width as usize * height as usize;
    let value = |i: usize| {
        let (pixel, k) = (i / channels, i % channels);
        let (x, y) = (pixel % width as usize, pixel / width as usize);
        // Smooth, so that JPEG keeps it; opacity in steps.
        let v = match k {
            0 => 20 + 5 * x,
            1 => 200 - 3 * y,
            2 => 60 + 2 * (x + y),
            _ => 255 - 40 * (x % 3),
        };
        v as u32
    };
    let levels = if bits == 8 {
        Levels::Eight((0..n * channels).map(|i| value(i) as u8).collect())
    } else {
        Levels::Sixteen(
            (0..n * channels)
                .map(|i| (257 * value(i) + 11) as u16)
                .collect(),
        )
    };
    Picture {
        width,
        height,
        channels,
        levels,
        format: PictureFormat::Png,
        grey: false,
        icc: None,
        exif: None,
        orientation: Orientation::NoTransforms,
        notes: vec![],
    }
}

/// EXIF with nothing but the orientation, and with a second directory, of which nothing is there.
fn exif(orientation: u8) -> Vec<u8> {
    [
        b"II*\0".as_slice(),
        &[8, 0, 0, 0, 1, 0],
        &[0x12, 1, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0],
        &[99, 0, 0, 0],
    ]
    .concat()
}

#[test]
fn lossless_formats_come_back_to_the_last_bit() {
    let folder = Folder::new();
    for (name, channels, bits) in [
        ("a.png", 3, 8),
        ("a.png", 4, 8),
        ("a.png", 3, 16),
        ("a.png", 4, 16),
        ("a.tif", 3, 8),
        ("a.tiff", 4, 8),
        ("a.tif", 3, 16),
        ("a.tif", 4, 16),
        ("a.webp", 3, 8),
        ("a.webp", 4, 8),
    ] {
        let written = picture(31, 17, channels, bits);
        written.write(&folder.path(name), 90).unwrap();
        let read = Picture::read(&folder.path(name)).unwrap();
        assert_eq!(
            read.samples(),
            written.samples(),
            "{name} {channels} {bits}"
        );
        assert_eq!((read.width(), read.height()), (31, 17));
        assert_eq!((read.bits(), read.channels()), (bits, channels));
        assert!(!read.is_grey() && read.notes().is_empty());
        assert_eq!(
            read.format(),
            PictureFormat::of(&folder.path(name)).unwrap()
        );
    }
}

#[test]
fn jpeg_comes_back_nearly_and_drops_what_it_cannot_hold() {
    let folder = Folder::new();
    let levels = |p: &Picture| match p.samples() {
        Levels::Eight(s) => s.clone(),
        Levels::Sixteen(s) => s.iter().map(|v| (v / 257) as u8).collect(),
    };
    for (channels, bits) in [(3, 8), (3, 16), (4, 8)] {
        let written = picture(40, 24, channels, bits);
        written.write(&folder.path("a.jpg"), 100).unwrap();
        let read = Picture::read(&folder.path("a.jpg")).unwrap();
        assert_eq!((read.bits(), read.channels()), (8, 3));
        let (a, b) = (levels(&written), levels(&read));
        for (a, b) in a.chunks(channels).zip(b.chunks(3)) {
            for k in 0..3 {
                assert!(a[k].abs_diff(b[k]) <= 4, "{a:?} {b:?}");
            }
        }
    }
    let size = |q| {
        picture(40, 24, 3, 8)
            .write(&folder.path("q.jpg"), q)
            .unwrap();
        std::fs::metadata(folder.path("q.jpg")).unwrap().len()
    };
    assert!(size(30) < size(95));
}

#[test]
fn grey_is_read_as_color_and_written_as_grey_when_asked() {
    let folder = Folder::new();
    for (name, channels, bits) in [
        ("g.png", 3, 8),
        ("g.png", 4, 16),
        ("g.tif", 3, 16),
        ("g.tif", 4, 8),
        ("g.jpg", 3, 8),
        ("g.webp", 3, 8),
    ] {
        let mut grey = picture(20, 10, channels, bits);
        match grey.samples_mut() {
            Levels::Eight(s) => s
                .chunks_mut(channels)
                .for_each(|p| (p[1], p[2]) = (p[0], p[0])),
            Levels::Sixteen(s) => s
                .chunks_mut(channels)
                .for_each(|p| (p[1], p[2]) = (p[0], p[0])),
        }
        grey.set_grey(true);
        grey.write(&folder.path(name), 100).unwrap();
        let read = Picture::read(&folder.path(name)).unwrap();
        // WebP has no grey, TIFF no grey with opacity; the pixels are grey all the same.
        if !name.ends_with("webp") && (channels, name) != (4, "g.tif") {
            assert!(read.is_grey(), "{name}");
            assert!(read.notes()[0].contains("grey"));
        }
        assert_eq!(read.channels(), channels);
        if !name.ends_with("jpg") {
            assert_eq!(read.samples(), grey.samples(), "{name}");
        }
    }
}

#[test]
fn profile_and_exif_survive_and_the_preview_does_not() {
    let folder = Folder::new();
    let mut written = picture(12, 8, 3, 8);
    written.icc = Some(b"a profile, as far as anyone looks".to_vec());
    written.exif = Some(exif(6));
    written.orientation = Orientation::Rotate90;
    for name in ["m.jpg", "m.png", "m.webp"] {
        written.write(&folder.path(name), 95).unwrap();
        let read = Picture::read(&folder.path(name)).unwrap();
        assert_eq!(read.icc(), written.icc.as_deref(), "{name}");
        let kept = read.exif.clone().unwrap();
        assert_eq!(kept[..22], exif(6)[..22], "{name}");
        assert_eq!(kept[22..], [0; 4], "{name}");
        assert!(read.is_turned());
        // Stored as it was; looked at upright it is turned.
        assert_eq!((read.width(), read.height()), (12, 8));
        let (w, h, rgb) = read.upright();
        assert_eq!((w, h, rgb.len()), (8, 12, 3 * 96));
    }
    // TIFF has no place for it: the pixels are turned.
    written.write(&folder.path("m.tif"), 95).unwrap();
    let read = Picture::read(&folder.path("m.tif")).unwrap();
    assert_eq!((read.width(), read.height()), (8, 12));
    assert_eq!(read.icc(), written.icc.as_deref());
    assert_eq!(read.upright().2, written.upright().2);
    assert!(!read.is_turned());
}

#[test]
fn a_profile_of_grey_does_not_go_onto_colors() {
    let folder = Folder::new();
    for (kind, on_color, on_grey) in [(b"GRAY", false, true), (b"RGB ", true, false)] {
        let mut profile = vec![0; 128];
        profile[16..20].copy_from_slice(kind);
        let mut written = picture(12, 8, 3, 8);
        written.icc = Some(profile);
        for (grey, kept) in [(false, on_color), (true, on_grey)] {
            written.set_grey(grey);
            written.write(&folder.path("i.png"), 95).unwrap();
            assert_eq!(
                Picture::read(&folder.path("i.png"))
                    .unwrap()
                    .icc()
                    .is_some(),
                kept
            );
        }
    }
}

#[test]
fn opacity_is_laid_over_white_to_be_looked_at() {
    let mut p = picture(1, 1, 4, 8);
    *p.samples_mut() = Levels::Eight(vec![100, 0, 200, 51]);
    assert_eq!(p.upright(), (1, 1, vec![224, 204, 244]));
    *p.samples_mut() = Levels::Sixteen(vec![25700, 0, 51400, 65535]);
    assert_eq!(p.upright(), (1, 1, vec![100, 0, 200]));
}

#[test]
fn palettes_and_low_depths_are_spread_out() {
    let folder = Folder::new();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 4, 1);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Two);
    encoder.set_palette(vec![0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255]);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&[0b00_01_10_11])
        .unwrap();
    folder.write("p.png", &bytes);
    let read = Picture::read(&folder.path("p.png")).unwrap();
    assert_eq!(
        *read.samples(),
        Levels::Eight(vec![0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    );
}

#[test]
fn what_is_no_picture_is_said_to_be_none() {
    let folder = Folder::new();
    assert!(folder.refusal("missing.png").contains("no such file"));
    std::fs::create_dir(folder.path("dir.png")).unwrap();
    assert!(folder.refusal("dir.png").contains("folder"));
    folder.write("empty.png", b"");
    assert!(folder.refusal("empty.png").contains("empty"));
    folder.write("text.jpg", b"dear diary, today no picture");
    assert!(folder.refusal("text.jpg").contains("no picture"));
    folder.write("a.png", b"GIF89a..............");
    assert!(folder.refusal("a.png").contains("GIF"));
    folder.write("b.png", b"BM....................");
    assert!(folder.refusal("b.png").contains("BMP"));
    folder.write("c.jpg", b"\0\0\0\x18ftypheic\0\0\0\0heicmif1");
    assert!(folder.refusal("c.jpg").contains("Convert it to PNG"));
}

#[test]
fn names_that_stand_for_no_format_are_refused_before_anything_is_written() {
    let folder = Folder::new();
    for name in ["a.gif", "a", "a.png.bak"] {
        let error = picture(2, 2, 3, 8)
            .write(&folder.path(name), 90)
            .unwrap_err();
        assert!(
            error.to_string().contains(".jpg, .png, .tif or .webp"),
            "{error}"
        );
        assert!(!folder.path(name).exists());
    }
    let error = picture(2, 2, 3, 8)
        .write(&folder.path("no/a.png"), 90)
        .unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    let mut long = picture(1, 1, 3, 8);
    (long.width, long.height) = (20_000, 1);
    assert!(
        long.write(&folder.path("a.webp"), 90)
            .unwrap_err()
            .to_string()
            .contains("16384")
    );
    // Samples that are not those of the picture: a mistake of the caller, and no panic.
    assert!(long.write(&folder.path("a.png"), 90).is_err());
    assert_eq!(long.upright().0, 0);
}

/// Markers and headers of a JPEG file of four components, without a scan.
fn cmyk_jpeg() -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8];
    bytes.extend([0xff, 0xee, 0, 14]);
    bytes.extend(b"Adobe\0\x64\0\0\0\0\0");
    bytes.extend([0xff, 0xc0, 0, 20, 8, 0, 8, 0, 8, 4]);
    for id in 1..=4 {
        bytes.extend([id, 0x11, 0]);
    }
    bytes.extend([
        0xff, 0xda, 0, 14, 4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0, 0xff, 0xd9,
    ]);
    bytes
}

#[test]
fn inks_animations_and_floating_point_are_refused_with_what_to_do() {
    let folder = Folder::new();
    folder.write("inks.jpg", &cmyk_jpeg());
    assert!(
        folder
            .refusal("inks.jpg")
            .contains("Convert the picture to RGB")
    );

    let mut inks = Vec::new();
    let mut encoder = tiff::encoder::TiffEncoder::new(std::io::Cursor::new(&mut inks)).unwrap();
    encoder
        .write_image::<tiff::encoder::colortype::CMYK8>(2, 2, &[9; 16])
        .unwrap();
    folder.write("inks.tif", &inks);
    assert!(folder.refusal("inks.tif").contains("CMYK"));

    let mut light = Vec::new();
    let mut encoder = tiff::encoder::TiffEncoder::new(std::io::Cursor::new(&mut light)).unwrap();
    encoder
        .write_image::<tiff::encoder::colortype::RGB32Float>(2, 2, &[0.5; 12])
        .unwrap();
    folder.write("light.tif", &light);
    assert!(folder.refusal("light.tif").contains("floating"));

    let mut film = Vec::new();
    let mut encoder = png::Encoder::new(&mut film, 2, 2);
    encoder.set_animated(2, 0).unwrap();
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[1; 12]).unwrap();
    writer.write_image_data(&[2; 12]).unwrap();
    writer.finish().unwrap();
    folder.write("film.png", &film);
    assert!(folder.refusal("film.png").contains("video program"));

    // A WebP file in its extended form, with the flag of an animation and its two chunks, of which the first frame is enough to be refused.
    let mut still = Vec::new();
    image::codecs::webp::WebPEncoder::new_lossless(&mut still)
        .write_image(&[7; 12], 2, 2, ExtendedColorType::Rgb8)
        .unwrap();
    let frame = &still[12..];
    let mut chunks = Vec::new();
    chunks.extend(b"VP8X\x0a\0\0\0\x02\0\0\0\x01\0\0\x01\0\0");
    chunks.extend(b"ANIM\x06\0\0\0\0\0\0\0\0\0");
    chunks.extend(b"ANMF");
    chunks.extend((16 + frame.len() as u32).to_le_bytes());
    chunks.extend([0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 100, 0, 0, 0]);
    chunks.extend(frame);
    let mut film = b"RIFF".to_vec();
    film.extend((4 + chunks.len() as u32).to_le_bytes());
    film.extend(b"WEBP");
    film.extend(chunks);
    folder.write("film.webp", &film);
    assert!(folder.refusal("film.webp").contains("animation"));
}

#[test]
fn of_several_pages_the_first_is_used_and_that_is_said() {
    let folder = Folder::new();
    let mut pages = Vec::new();
    let mut encoder = tiff::encoder::TiffEncoder::new(std::io::Cursor::new(&mut pages)).unwrap();
    for page in [[1u8; 12], [2; 12]] {
        encoder
            .write_image::<tiff::encoder::colortype::RGB8>(2, 2, &page)
            .unwrap();
    }
    folder.write("pages.tif", &pages);
    let read = Picture::read(&folder.path("pages.tif")).unwrap();
    assert_eq!(*read.samples(), Levels::Eight(vec![1; 12]));
    assert!(
        read.notes()[0].contains("several pages"),
        "{:?}",
        read.notes()
    );
}

/// A PNG header that promises 40,000 x 40,000 pixels.
#[test]
fn more_pixels_than_anyone_has_are_refused_before_they_are_allocated() {
    let folder = Folder::new();
    let mut bytes = Vec::new();
    png::Encoder::new(&mut bytes, 40_000, 40_000)
        .write_header()
        .unwrap();
    // The writer ends the file when it goes; the first bytes of the pixels stand before that end.
    bytes.truncate(33);
    bytes.extend(4u32.to_be_bytes());
    bytes.extend(b"IDAT\x78\x9c\x63\x60");
    let sum = crc32fast::hash(&bytes[37..]);
    bytes.extend(sum.to_be_bytes());
    folder.write("bomb.png", &bytes);
    let text = folder.refusal("bomb.png");
    assert!(text.contains("1600 million"), "{text}");
}

/// Cut or changed anywhere, a file gives a picture or a message, never a panic; cut in the middle it is always a message.
#[test]
fn cut_and_damaged_files_are_refused() {
    let folder = Folder::new();
    for name in ["d.jpg", "d.png", "d.tif", "d.webp"] {
        let mut whole = picture(33, 21, 3, 8);
        whole.exif = Some(exif(1));
        whole.icc = Some(vec![3; 40]);
        whole.write(&folder.path(name), 90).unwrap();
        let bytes = std::fs::read(folder.path(name)).unwrap();
        for k in 1..40 {
            let cut = bytes.len() * k / 40;
            let path = folder.write(name, &bytes[..cut]);
            let read = Picture::read(&path);
            // A TIFF file whose end is its directory cannot be read at all; one whose pixels are at its end, not wholly.
            assert!(read.is_err(), "{name} cut at {cut} of {}", bytes.len());
            let text = read.unwrap_err().to_string();
            assert!(
                text.contains("again") || text.contains("no picture") || text.contains("not read"),
                "{name}: {text}"
            );
        }
        for k in 0..400usize {
            let mut bad = bytes.clone();
            let at = (k * 7919) % bad.len();
            bad[at] ^= 1 << (k % 8);
            let _ = Picture::read(&folder.write(name, &bad));
        }
    }
}

/// Read through the library alone: what is written is what other readers see.
#[test]
fn other_readers_see_the_same() {
    let folder = Folder::new();
    let written = picture(9, 5, 4, 16);
    written.write(&folder.path("o.png"), 90).unwrap();
    let bytes = std::fs::read(folder.path("o.png")).unwrap();
    let Ok(DynamicImage::ImageRgba16(other)) = image::load_from_memory(&bytes) else {
        panic!("16 bits with opacity expected");
    };
    assert_eq!(Levels::Sixteen(other.into_raw()), *written.samples());
    let mut plain = Vec::new();
    PngEncoder::new(&mut plain)
        .write_image(&[5; 6], 2, 1, ExtendedColorType::Rgb8)
        .unwrap();
    let read = Picture::read(&folder.write("plain.png", &plain)).unwrap();
    assert_eq!(*read.samples(), Levels::Eight(vec![5; 6]));
}
