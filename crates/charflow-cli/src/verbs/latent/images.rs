//! Images with their classes, in and out.

use super::Source;
use crate::failure::{Failure, Result};
use crate::run::write_file;
use charflow_io::picture::Picture;
use charflow_io::{Precision, ReadOptions, Writer, is_idx, read};
use charflow_lab::images::{Images, read_idx_labels};
use std::path::{Path, PathBuf};

/// As many as a byte tells apart.
const MOST_CLASSES: usize = 256;

/// Images and, where asked for, the class of each.
pub struct Labelled {
    pub images: Images,
    pub labels: Option<Vec<String>>,
}

impl Labelled {
    /// The names of the classes in order, numbers by size, and the class of each image as an index into them.
    pub fn classes(&self) -> Result<Option<(Vec<String>, Vec<u8>)>> {
        let Some(labels) = &self.labels else {
            return Ok(None);
        };
        let mut names: Vec<String> = labels.clone();
        names.sort_by(|a, b| {
            let number = |s: &str| s.parse::<f64>().unwrap_or(f64::INFINITY);
            number(a).total_cmp(&number(b)).then_with(|| a.cmp(b))
        });
        names.dedup();
        if names.len() > MOST_CLASSES {
            return Err(Failure::input(format!(
                "there are {} classes; at most {MOST_CLASSES} are expected. Is the column of labels right?",
                names.len()
            )));
        }
        let index = |label: &String| names.iter().position(|n| n == label).unwrap_or(0) as u8;
        let of = labels.iter().map(index).collect();
        Ok(Some((names, of)))
    }
}

impl Source {
    /// Reads the images.
    ///
    /// # Errors
    /// A file that cannot be read or is none of the three kinds, images of different sizes, labels that do not fit.
    pub fn read(&self) -> Result<Labelled> {
        let all = if self.images.is_dir() {
            self.folder()?
        } else if is_idx(&self.images) {
            self.idx()?
        } else {
            self.table()?
        };
        let Some(most) = self.most.filter(|&m| m < all.images.len()) else {
            return Ok(all);
        };
        if most == 0 {
            return Err(Failure::input("--most 0 leaves no images."));
        }
        let n = all.images.len();
        let rows: Vec<usize> = (0..most).map(|k| k * n / most).collect();
        Ok(Labelled {
            images: all.images.select(&rows),
            labels: all
                .labels
                .map(|labels| rows.iter().map(|&i| labels[i].clone()).collect()),
        })
    }

    fn no_size(&self) -> Result<()> {
        match self.size {
            Some(_) => Err(Failure::input(format!(
                "--size goes with a table of pixels; {} says its size itself.",
                self.images.display()
            ))),
            None => Ok(()),
        }
    }

    fn idx(&self) -> Result<Labelled> {
        self.no_size()?;
        let images = Images::read_idx(&self.images)?;
        let labels = match &self.labels {
            None => None,
            Some(file) => {
                let labels = read_idx_labels(Path::new(file), images.len(), MOST_CLASSES)?;
                Some(labels.iter().map(u8::to_string).collect())
            }
        };
        Ok(Labelled { images, labels })
    }

    fn table(&self) -> Result<Labelled> {
        let Some((height, width)) = self.size else {
            return Err(Failure::input(format!(
                "{}: this is taken as a table with a row of pixels for each image, which needs --size, such as --size 16x16. (An idx file's name ends in -ubyte or .idx, \
                 with .gz or without; a folder of pictures is the third possibility.)",
                self.images.display()
            )));
        };
        let options = ReadOptions {
            labels: self.labels.clone(),
            ..ReadOptions::default()
        };
        let table = read(&self.images, &options)?;
        let plane = height * width;
        let channels = table.dim / plane;
        if table.dim != channels * plane || ![1, 3].contains(&channels) {
            return Err(Failure::input(format!(
                "{}: {} columns of pixels; images of {height} x {width} have {plane}, or {} in colour (all red, then green, then blue).",
                self.images.display(),
                table.dim,
                3 * plane
            )));
        }
        let pixels = table.to_f64().into_iter().map(|v| v as f32).collect();
        let images = Images::new(channels, height, width, pixels)
            .map_err(|e| Failure::input(format!("{}: {e}.", self.images.display())))?;
        Ok(Labelled {
            images,
            labels: table.labels,
        })
    }

    /// Pictures of a folder, or of the folders in it, each of which is a class.
    fn folder(&self) -> Result<Labelled> {
        self.no_size()?;
        if self.labels.is_some() {
            return Err(Failure::input(
                "--labels goes with an idx file or a table; the classes of a folder of pictures are the folders in it.",
            ));
        }
        let (folders, mut files) = listed(&self.images)?;
        let mut labels = Vec::new();
        if !folders.is_empty() && !files.is_empty() {
            return Err(Failure::input(format!(
                "{}: holds pictures and folders side by side; expected pictures, or one folder of pictures for each class.",
                self.images.display()
            )));
        }
        for folder in &folders {
            let (inner, some) = listed(folder)?;
            if some.is_empty() || !inner.is_empty() {
                return Err(Failure::input(format!(
                    "{}: expected a class's pictures and nothing else in it.",
                    folder.display()
                )));
            }
            let name = folder.file_name().map(|n| n.to_string_lossy().into_owned());
            labels.extend(std::iter::repeat_n(name.unwrap_or_default(), some.len()));
            files.extend(some);
        }
        let mut sides = None;
        let mut grey = true;
        let mut pictures = Vec::with_capacity(files.len());
        for file in &files {
            let (width, height, rgb) = Picture::read(file)?.upright();
            let &mut (w, h) = sides.get_or_insert((width, height));
            if (w, h) != (width, height) {
                return Err(Failure::input(format!(
                    "{}: {height} x {width}; the pictures before it are {h} x {w}. All have to be of one size.",
                    file.display()
                )));
            }
            grey &= rgb.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]);
            pictures.push(rgb);
        }
        let Some((width, height)) = sides else {
            return Err(Failure::input(format!(
                "{}: no pictures (.jpg, .png, .tif, .webp) in it.",
                self.images.display()
            )));
        };
        let channels = if grey { 1 } else { 3 };
        let mut pixels = Vec::with_capacity(pictures.len() * pictures[0].len() / 3 * channels);
        for rgb in &pictures {
            for c in 0..channels {
                pixels.extend(rgb.iter().skip(c).step_by(3).map(|&v| f32::from(v) / 255.0));
            }
        }
        Ok(Labelled {
            images: Images::new(channels, height as usize, width as usize, pixels)?,
            labels: (!labels.is_empty()).then_some(labels),
        })
    }
}

/// The folders and the pictures of a folder, in order of their names; hidden files and files of other kinds are passed over.
fn listed(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let fail = |e: &std::io::Error| Failure::system(folder, "cannot be read", e);
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(|e| fail(&e))? {
        let path = entry.map_err(|e| fail(&e))?.path();
        let hidden = path
            .file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_dir() {
            folders.push(path);
        } else if charflow_io::picture::PictureFormat::of(&path).is_ok() {
            files.push(path);
        }
    }
    folders.sort();
    files.sort();
    Ok((folders, files))
}

/// How images are written, by the name.
pub enum Form {
    /// One picture of all.
    Sheet,
    /// An idx file.
    Idx,
    /// A table of pixels.
    Table,
    /// A folder of pictures.
    Folder,
}

impl Form {
    pub fn of(path: &Path) -> Self {
        let extension = path
            .extension()
            .map(|e| e.to_string_lossy().to_lowercase())
            .unwrap_or_default();
        if is_idx(path) {
            Form::Idx
        } else if extension == "png" {
            Form::Sheet
        } else if charflow_io::Format::of(path).is_ok() {
            Form::Table
        } else {
            Form::Folder
        }
    }
}

/// Writes images; returns what was written, for a person.
///
/// # Errors
/// Files that cannot be written, a gzipped idx file, colour images in an idx file.
pub fn write(images: &Images, out: &Path) -> Result<String> {
    let n = images.len();
    let [channels, height, width] = images.sides();
    match Form::of(out) {
        Form::Idx => {
            if channels != 1 {
                return Err(Failure::input(format!(
                    "{}: an idx file of images holds grey ones; these have colours. Write a folder or a table.",
                    out.display()
                )));
            }
            if out
                .extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("gz"))
            {
                return Err(Failure::input(format!(
                    "{}: idx files are written plain; leave .gz out.",
                    out.display()
                )));
            }
            let mut bytes = vec![0, 0, 8, 3];
            for side in [n, height, width] {
                bytes.extend((side as u32).to_be_bytes());
            }
            bytes.extend(images.pixels.iter().map(|&v| level(v)));
            write_file(out, &bytes)?;
            Ok(format!("{n} images, idx"))
        }
        Form::Table => {
            let columns: Vec<String> = (1..=images.each()).map(|k| format!("p{k}")).collect();
            let mut writer = Writer::create(out, &columns, &[], Precision::F32)?;
            let pixels: Vec<f64> = images.pixels.iter().map(|&v| f64::from(v)).collect();
            writer.write(&pixels, &[])?;
            writer.finish()?;
            Ok(format!("{n} images, a row each, {} columns", images.each()))
        }
        Form::Sheet => {
            let columns = (n as f64).sqrt().ceil() as usize;
            let rows = n.div_ceil(columns);
            // A dark line between images.
            let (wide, high) = (columns * (width + 1) - 1, rows * (height + 1) - 1);
            if wide.max(high) > 20_000 {
                return Err(Failure::input(format!(
                    "{n} images do not fit on one sheet. Write a folder or a table, or decode fewer points."
                )));
            }
            let mut rgb = vec![64; 3 * wide * high];
            for i in 0..n {
                let (top, left) = ((i / columns) * (height + 1), (i % columns) * (width + 1));
                let picture = pixels_of(images, i);
                for row in 0..height {
                    let at = 3 * ((top + row) * wide + left);
                    rgb[at..at + 3 * width]
                        .copy_from_slice(&picture[3 * row * width..3 * (row + 1) * width]);
                }
            }
            Picture::new(wide as u32, high as u32, rgb, channels == 1).write(out, 100)?;
            Ok(format!("{n} images on one sheet"))
        }
        Form::Folder => {
            if charflow_io::picture::PictureFormat::of(out).is_ok() {
                return Err(Failure::input(format!(
                    "{}: one sheet of all images is a .png; a folder of pictures has a name without such an ending.",
                    out.display()
                )));
            }
            std::fs::create_dir_all(out)
                .map_err(|e| Failure::system(out, "the folder cannot be made", &e))?;
            for i in 0..n {
                Picture::new(
                    width as u32,
                    height as u32,
                    pixels_of(images, i),
                    channels == 1,
                )
                .write(&out.join(format!("{i:06}.png")), 100)?;
            }
            // Of an earlier, longer row of pictures in this folder.
            for i in n.. {
                if std::fs::remove_file(out.join(format!("{i:06}.png"))).is_err() {
                    break;
                }
            }
            Ok(format!("{n} pictures, 000000.png and so on"))
        }
    }
}

fn level(v: f32) -> u8 {
    (v * 255.0).round() as u8
}

/// A picture as `[height, width, 3]` levels.
fn pixels_of(images: &Images, i: usize) -> Vec<u8> {
    let one = images.one(i);
    let plane = images.height * images.width;
    (0..plane)
        .flat_map(|p| [0, 1, 2].map(|c| level(one[(c % images.channels) * plane + p])))
        .collect()
}
