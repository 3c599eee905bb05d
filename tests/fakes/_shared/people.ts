/** Owns believable people, companies and places for fake worlds. Every domain ends in `.example`. */

import type { Prng } from './prng.ts';

const FIRST =
  'Ada Amara Anders Anjali Beatriz Bruno Camille Carlos Chiara Dagmar Daniel Elena Emeka Fatima Felix Freya Grace Hana Hugo Ines Ingrid Isaac Jamal Jana Jonas Julia Kaito Katya Lars Leila Liam Lucia Mai Marco Maria Mateo Mei Mohamed Nadia Nils Noor Olga Omar Paulo Priya Rafael Rosa Ruth Samir Sofia Tariq Tomas Uma Vera Wei Yara Yusuf Zoë'
    .split(' ');
const LAST =
  "Adeyemi Ahmed Almeida Andersson Bauer Bianchi Brown Castro Chen Costa Dubois Eriksson Fernández Fischer García Haddad Hansen Ito Ivanov Jensen Johnson Kaya Khan Kim Kowalski Larsen Lefèvre Lopez Martin Meyer Moreau Müller Nakamura Nguyen Novak Nowak O'Brien Okafor Olsen Park Patel Petrov Rossi Santos Schmidt Sharma Silva Singh Smith Sørensen Suzuki Tanaka Taylor Torres Wagner Weber Williams Wilson Yilmaz Zhang"
    .split(' ');
const COMPANY_A =
  'Amber Apex Atlas Birch Blue Bright Cedar Cobalt Copper Delta Ember Fjord Granite Harbor Iris Juniper Kestrel Lumen Maple Meridian Nimbus North Oak Orbit Pine Quartz River Sable Sierra Silver Summit Terra Umbra Velvet Willow Zephyr'
    .split(' ');
const COMPANY_B =
  'Analytics Bakery Clinics Collective Consulting Dental Design Dynamics Education Energy Films Foods Freight Games Health Labs Legal Logistics Media Motors Networks Outdoor Partners Print Robotics Software Studio Systems Textiles Travel Ventures Works'
    .split(' ');

/** City, region, postal code and ISO country of one real place. */
export interface Place {
  city: string;
  state: string | null;
  postal_code: string;
  country: string;
}

const PLACES: readonly Place[] = [
  { city: 'San Francisco', state: 'CA', postal_code: '94103', country: 'US' },
  { city: 'Austin', state: 'TX', postal_code: '78701', country: 'US' },
  { city: 'New York', state: 'NY', postal_code: '10013', country: 'US' },
  { city: 'Chicago', state: 'IL', postal_code: '60607', country: 'US' },
  { city: 'Toronto', state: 'ON', postal_code: 'M5V 2T6', country: 'CA' },
  { city: 'Berlin', state: null, postal_code: '10115', country: 'DE' },
  { city: 'München', state: null, postal_code: '80331', country: 'DE' },
  { city: 'Paris', state: null, postal_code: '75002', country: 'FR' },
  { city: 'Madrid', state: null, postal_code: '28004', country: 'ES' },
  { city: 'London', state: null, postal_code: 'EC1A 1BB', country: 'GB' },
  { city: 'Dublin', state: null, postal_code: 'D02 X285', country: 'IE' },
  { city: 'Stockholm', state: null, postal_code: '111 20', country: 'SE' },
  { city: 'Singapore', state: null, postal_code: '048616', country: 'SG' },
  { city: '東京', state: null, postal_code: '100-0001', country: 'JP' },
  { city: 'São Paulo', state: 'SP', postal_code: '01310-100', country: 'BR' },
  { city: 'Sydney', state: 'NSW', postal_code: '2000', country: 'AU' },
];

/** A person at a company, with an address that fits. */
export interface Person {
  name: string;
  email: string;
  company: string;
  phone: string;
  place: Place;
  street: string;
}

const plain = (text: string): string =>
  text.normalize('NFD').replace(/[\u0300-\u036f']/g, '').replace(/ø/g, 'o').toLowerCase();

/** Draws one person; `serial` keeps e-mail addresses apart. */
export const drawPerson = (prng: Prng, serial: number): Person => {
  const first = prng.pick(FIRST);
  const last = prng.pick(LAST);
  const a = prng.pick(COMPANY_A);
  const b = prng.pick(COMPANY_B);
  return {
    name: `${first} ${last}`,
    email: `${plain(first)}.${plain(last)}.${serial}@${plain(a)}-${plain(b)}.example`,
    company: `${a} ${b}`,
    phone: `+1555${String(prng.int(0, 9_999_999)).padStart(7, '0')}`,
    place: prng.pick(PLACES),
    street: `${prng.int(1, 240)} ${prng.pick(COMPANY_A)} Street`,
  };
};
