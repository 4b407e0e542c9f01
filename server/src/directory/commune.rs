//! Where communes lie: names, postal codes and centres, for "around Toulouse" and for lists of communes.
//!
//! The hub ships some 8 000 communes, where four of five people live: places of `GeoNames` (CC BY 4.0) joined with the
//! codes of INSEE and La Poste (Licence Ouverte 2.0), by `server/packaging/communes.py`. The operator may put the open
//! list of the whole country (`communes.csv`: La Poste "Base officielle des codes postaux" or the INSEE-coded list
//! of data.gouv.fr, both Licence Ouverte 2.0) beside the directory; either layout is read by its header.

use std::{collections::HashMap, fs, io, path::Path};

use super::fold::fold;

/// Centres rounded to a hundredth of a degree.
const SHIPPED: &str = include_str!("communes.csv");

/// A commune.
#[derive(Debug, Clone, PartialEq)]
pub struct Commune {
    /// INSEE code.
    pub code: String,
    /// Name.
    pub name: String,
    /// Postal codes.
    pub postal_codes: Vec<String>,
    /// Latitude and longitude of its centre, degrees (WGS 84).
    pub centre: Option<(f64, f64)>,
}

/// All known communes.
#[derive(Debug, Clone, Default)]
pub struct Communes {
    by_code: HashMap<String, Commune>,
}

/// Why a list of communes cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CommuneError {
    /// The file cannot be read.
    #[error("the list of communes cannot be read")]
    Io(#[from] io::Error),
    /// It has no column with INSEE codes.
    #[error("the list of communes has no column with INSEE codes: {columns}")]
    NoCodeColumn {
        /// The columns it has.
        columns: String,
    },
}

impl Communes {
    /// The communes that the hub ships.
    ///
    /// # Panics
    /// Never: a test reads the same text.
    #[must_use]
    pub fn shipped() -> Self {
        Self::parse(SHIPPED).expect("the shipped list has the columns that a test reads")
    }

    /// The shipped communes and those of a file, if there is one.
    ///
    /// # Errors
    /// When the file is there and cannot be used.
    pub fn load(path: &Path) -> Result<Self, CommuneError> {
        let mut communes = Self::shipped();
        if path.exists() {
            let text = fs::read(path)?;
            communes.by_code.extend(Self::parse(&String::from_utf8_lossy(&text))?.by_code);
        }
        Ok(communes)
    }

    /// Reads a list with a header; `;`, `,` or tab between columns.
    ///
    /// # Errors
    /// When no column has INSEE codes.
    pub fn parse(text: &str) -> Result<Self, CommuneError> {
        let mut lines = text.trim_start_matches('\u{feff}').lines();
        let header = lines.next().unwrap_or_default();
        let separator = [';', '\t', ','].into_iter().max_by_key(|mark| header.matches(*mark).count());
        let separator = separator.unwrap_or(';');
        let columns: Vec<String> = cells(header, separator).iter().map(|name| fold(name)).collect();
        let find = |wanted: &[&str]| {
            wanted.iter().find_map(|name| columns.iter().position(|column| column.trim() == *name))
        };
        let Some(code) = find(&["code commune insee", "code insee", "insee", "code commune", "com", "code"])
        else {
            return Err(CommuneError::NoCodeColumn { columns: columns.join(", ") });
        };
        let name = find(&["nom de la commune", "nom standard", "nom commune", "nom", "libelle", "ncc"]);
        let postal = find(&["code postal", "codes postaux", "postal"]);
        let point = find(&["geopoint", "coordonnees gps"]);
        let latitude = find(&["latitude centre", "latitude", "lat"]);
        let longitude = find(&["longitude centre", "longitude", "lon", "lng"]);
        let mut communes = Self::default();
        for line in lines {
            let row = cells(line, separator);
            let cell =
                |column: Option<usize>| column.and_then(|column| row.get(column)).map_or("", |text| text);
            let centre = pair(cell(point)).or_else(|| {
                Some((cell(latitude).trim().parse().ok()?, cell(longitude).trim().parse().ok()?))
            });
            communes.add(cell(Some(code)), cell(name), cell(postal), centre);
        }
        Ok(communes)
    }

    fn add(&mut self, code: &str, name: &str, postal: &str, centre: Option<(f64, f64)>) {
        let code = code.trim();
        if code.is_empty() {
            return;
        }
        let commune = self.by_code.entry(code.to_owned()).or_insert_with(|| Commune {
            code: code.to_owned(),
            name: name.trim().to_owned(),
            postal_codes: Vec::new(),
            centre: None,
        });
        let in_range =
            |(latitude, longitude): &(f64, f64)| latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        commune.centre = commune.centre.or_else(|| centre.filter(in_range));
        for postal in postal.split([' ', ',', '/']).filter(|postal| !postal.is_empty()) {
            if !commune.postal_codes.iter().any(|known| known == postal) {
                commune.postal_codes.push(postal.to_owned());
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_code.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_code.is_empty()
    }

    /// The commune with an INSEE code.
    #[must_use]
    pub fn get(&self, code: &str) -> Option<&Commune> {
        self.by_code.get(code)
    }

    /// Codes of the communes that a person means: an INSEE code, a postal code, or a name.
    #[must_use]
    pub fn named(&self, text: &str) -> Vec<String> {
        let text = text.trim();
        if self.by_code.contains_key(text) {
            return vec![text.to_owned()];
        }
        let wanted = super::fold::words(text).join(" ");
        let is_meant = |commune: &&Commune| {
            commune.postal_codes.iter().any(|postal| postal == text)
                || (!wanted.is_empty() && super::fold::words(&commune.name).join(" ") == wanted)
        };
        let mut codes: Vec<String> =
            self.by_code.values().filter(is_meant).map(|commune| commune.code.clone()).collect();
        codes.sort_unstable();
        codes
    }

    /// Communes whose centre lies within a radius of the centre of one of these, with the distance in km.
    #[must_use]
    pub fn around(&self, centres: &[String], radius_km: f64) -> HashMap<String, f64> {
        let centres: Vec<(f64, f64)> =
            centres.iter().filter_map(|code| self.by_code.get(code)?.centre).collect();
        let nearest = |commune: &Commune| {
            let here = commune.centre?;
            let distances = centres.iter().map(|centre| distance_km(*centre, here));
            let nearest = distances.fold(f64::INFINITY, f64::min);
            (nearest <= radius_km).then(|| (commune.code.clone(), nearest))
        };
        self.by_code.values().filter_map(nearest).collect()
    }
}

fn cells(line: &str, separator: char) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            letter if letter == separator && !quoted => cells.push(String::new()),
            letter => cells.last_mut().expect("there is always a cell").push(letter),
        }
    }
    cells
}

fn pair(text: &str) -> Option<(f64, f64)> {
    let (latitude, longitude) = text.split_once(',')?;
    Some((latitude.trim().parse().ok()?, longitude.trim().parse().ok()?))
}

/// Great-circle distance (haversine), km.
fn distance_km((lat_a, lon_a): (f64, f64), (lat_b, lon_b): (f64, f64)) -> f64 {
    const EARTH_KM: f64 = 6371.0;
    let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
    let chord =
        half(lat_b - lat_a) + lat_a.to_radians().cos() * lat_b.to_radians().cos() * half(lon_b - lon_a);
    2.0 * EARTH_KM * chord.sqrt().asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communes_are_found_by_code_postal_code_and_name() {
        let communes = Communes::shipped();
        assert_eq!(communes.named("31555"), ["31555"]);
        assert_eq!(communes.named("31140")[..2], ["31022", "31186"], "a postal code of several");
        assert_eq!(communes.named("toulouse"), ["31555"]);
        assert!(communes.named("Saint Pierre").contains(&"97416".to_owned()));
        assert!(communes.named("Nulle-Part").is_empty());
    }

    #[test]
    fn a_radius_takes_in_neighbours_and_not_islands() {
        let around = Communes::shipped().around(&["31555".to_owned()], 10.0);
        assert!(around["31555"] < 0.01);
        assert!(around.contains_key("31182") && around.contains_key("31022"));
        assert!(!around.contains_key("2A004") && !around.contains_key("97416"));
    }

    #[test]
    fn both_open_layouts_are_read() {
        let poste = "#Code_commune_INSEE;Nom_de_la_commune;Code_postal;Libelle;Ligne_5;_geopoint\n\
                     01001;L ABERGEMENT CLEMENCIAT;01400;L ABERGEMENT CLEMENCIAT;;46.15, 4.92\n";
        let gouv = "code_insee,nom_standard,codes_postaux,latitude_centre,longitude_centre\n\
                    01001,\"L'Abergement-Clémenciat\",\"01400, 01401\",46.153,4.926\n";
        for text in [poste, gouv] {
            let communes = Communes::parse(text).unwrap();
            assert_eq!(communes.named("01400"), ["01001"]);
            assert_eq!(communes.named("l'abergement clemenciat"), ["01001"]);
            assert!(communes.get("01001").unwrap().centre.is_some());
        }
        assert!(Communes::parse("a;b\n1;2\n").is_err());
    }
}
