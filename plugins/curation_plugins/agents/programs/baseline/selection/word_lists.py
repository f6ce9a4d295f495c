"""Common words of languages in Latin letters, by hand: what ``english`` knows of them."""

from __future__ import annotations

WORDS: dict[str, str] = {
    "en": """the of and to a in is it you that he was for on are with as his they at be this from have or by one
    had not but what all were when we there can an your which their said if do will each about how up out them
    then she many some so these would other into has more her two like him see time could no make than first
    been its who now people my made over did down only way find use may water long little very after words
    called just where most know get through back much before go good new write our used me man too any day same
    right look think also around another came come work three word must because does part even place well such
    here take why things help put years different away again off went old number photo picture image drawing
    sign digit letter shape red blue green yellow black white brown grey orange purple pink colour color small
    large big zero four five six seven eight nine ten circle square triangle star house home car road street
    city town river lake mountain beach tree flower garden dog cat bird horse fish woman men women child
    children boy girl baby family friend hand head face eye hair foot shoes shirt dress ring necklace gold
    silver leather wood wooden metal glass plastic paper book page cover front side top bottom left view vintage
    modern classic beautiful cute best free sale price buy shop store online set kit case bag box phone laptop
    computer screen table chair bed kitchen room door window wall floor light lamp clock watch food cake coffee
    tea wine bottle cup bread cheese chicken rice fruit apple summer winter spring autumn night morning sunset
    sunrise sky snow rain fire world country state school university office company business team game play
    player football music song band movie film show stock vector illustration design pattern background
    wallpaper logo icon template poster print art painting portrait landscape museum history wedding birthday
    party christmas happy love life health medical body skin oil cream engine wheel truck bike train plane
    airport boat ship bridge church castle hotel building tower map guide how recipe easy ideas tips review
    handwritten printed showing holding standing sitting wearing walking looking under near between behind above
    across during against""",
    "de": """der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden
    aus er hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber
    vor zur bis mehr durch man sein wurde wenn können eines bild foto zeichnung ziffer zahl buchstabe rot blau
    grün gelb schwarz weiß braun grau klein groß null eins zwei drei vier fünf sechs sieben acht neun zehn kreis
    quadrat dreieck stern haus auto straße stadt fluss berg strand baum blume garten hund katze vogel pferd frau
    mann kind kinder mädchen junge hand kopf gesicht schuhe kleid leder holz glas papier buch seite schön neu
    alt kaufen günstig geschenk küche zimmer tür fenster tisch stuhl licht uhr kuchen kaffee wein flasche brot
    käse sommer winter nacht himmel schnee schule welt kinderzimmer hochzeit geburtstag weihnachten hintergrund
    handgeschriebene zeigt steht sitzt""",
    "fr": """de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont avec
    son cette aux ou ses mais comme on tout nous sa fait été aussi leur bien peut ces deux même lui sans entre
    après sous image photo dessin chiffre nombre lettre rouge bleu vert jaune noir blanc brun gris petit grand
    petite grande zéro trois quatre cinq six sept huit neuf dix cercle carré triangle étoile maison voiture rue
    ville fleuve montagne plage arbre fleur jardin chien chat oiseau cheval femme homme enfant enfants fille
    garçon main tête visage chaussures robe cuir bois verre papier livre page beau belle nouveau vieux acheter
    cadeau cuisine chambre porte fenêtre table chaise lumière montre gâteau café vin bouteille pain fromage été
    hiver nuit ciel neige école monde mariage anniversaire noël fond écrit manuscrit montre assis debout pas
    cher""",
    "es": """de la que el en y a los se del las un por con no una su para es al lo como más o pero sus le ha me
    si sin sobre este ya entre cuando todo esta ser son dos también fue había era muy años hasta desde está mi
    porque qué imagen foto dibujo número letra rojo azul verde amarillo negro blanco marrón gris pequeño grande
    pequeña cero uno tres cuatro cinco seis siete ocho nueve diez círculo cuadrado triángulo estrella casa coche
    calle ciudad río montaña playa árbol flor jardín perro gato pájaro caballo mujer hombre niño niños niña mano
    cabeza cara zapatos vestido cuero madera vidrio papel libro página hermoso nuevo viejo comprar regalo cocina
    habitación puerta ventana mesa silla luz reloj pastel café vino botella pan queso verano invierno noche
    cielo nieve escuela mundo boda cumpleaños navidad fondo escrito mano sentado muestra dígito""",
    "it": """di e il la che in a per un è del non una sono le con si da i come dei nel al gli alla lo ha più
    anche ma della delle o su questo se dal ci quando tutti tra essere molto fatto due suo sua loro anni stato
    immagine foto disegno cifra numero lettera rosso blu verde giallo nero bianco marrone grigio piccolo grande
    piccola zero uno tre quattro cinque sei sette otto nove dieci cerchio quadrato triangolo stella casa
    macchina strada città fiume montagna spiaggia albero fiore giardino cane gatto uccello cavallo donna uomo
    bambino bambini ragazza mano testa viso scarpe vestito pelle legno vetro carta libro pagina bello bella
    nuovo vecchio comprare regalo cucina camera porta finestra tavolo sedia luce orologio torta caffè vino
    bottiglia pane formaggio estate inverno notte cielo neve scuola mondo matrimonio compleanno natale sfondo
    scritto mostra seduto""",
    "pt": """de a o que e do da em um para com não uma os no se na por mais as dos como mas ao ele das à seu sua
    ou quando muito nos já eu também só pelo pela até isso ela entre depois sem mesmo aos seus quem nas me esse
    eles está foi são imagem foto desenho dígito número letra vermelho azul verde amarelo preto branco marrom
    cinza pequeno grande pequena zero dois três quatro cinco seis sete oito nove dez círculo quadrado triângulo
    estrela casa carro rua cidade rio montanha praia árvore flor jardim cachorro gato pássaro cavalo mulher
    homem criança crianças menina menino mão cabeça rosto sapatos vestido couro madeira vidro papel livro página
    bonito novo velho comprar presente cozinha quarto porta janela mesa cadeira luz relógio bolo café vinho
    garrafa pão queijo verão inverno noite céu neve escola mundo casamento aniversário natal fundo escrito
    mostra""",
    "nl": """de van een het en in is dat op te zijn met voor niet aan er om ook als dan maar bij uit door over
    ze worden nog naar heeft hij tot of had was dit wel kan al hun meer deze geen werd hebben ik je zo foto
    afbeelding tekening cijfer getal letter rood blauw groen geel zwart wit bruin grijs klein kleine groot grote
    nul een twee drie vier vijf zes zeven acht negen tien cirkel vierkant driehoek ster huis auto straat stad
    rivier berg strand boom bloem tuin hond kat vogel paard vrouw man kind kinderen meisje jongen hand hoofd
    gezicht schoenen jurk leer hout glas papier boek pagina mooi mooie nieuw nieuwe oud kopen cadeau keuken
    kamer deur raam tafel stoel licht horloge taart koffie wijn fles brood kaas zomer winter nacht hemel sneeuw
    school wereld bruiloft verjaardag kerst achtergrond handgeschreven toont zit staat""",
    "sv": """och i att det som en på är av för med till den har de inte om ett han men var jag sig från vi så
    kan när år under också efter eller nu där mot hade skulle över hos vid bara bild foto teckning siffra tal
    bokstav röd blå grön gul svart vit brun grå liten stor noll två tre fyra fem sex sju åtta nio tio cirkel
    kvadrat triangel stjärna hus bil gata stad flod berg strand träd blomma trädgård hund katt fågel häst kvinna
    man barn flicka pojke hand huvud ansikte skor klänning läder trä glas papper bok sida vacker ny gammal köpa
    present kök rum dörr fönster bord stol ljus klocka tårta kaffe vin flaska bröd ost sommar vinter natt himmel
    snö skola värld bröllop födelsedag jul bakgrund handskriven visar""",
    "da": """og i at det er en til på af for med som den de ikke har der et han var jeg sig fra vi så kan når år
    også efter eller nu hvor mod havde skulle over ved kun billede foto tegning ciffer tall tal bogstav rød blå
    grøn gul sort hvid hvit brun grå lille liten stor nul null to tre fire fem seks syv sju otte åtte ni ti
    cirkel sirkel kvadrat trekant stjerne hus bil gade by flod elv bjerg fjell strand træ tre blomst have hage
    hund kat fugl hest kvinde kvinne mand mann barn pige jente dreng gutt hånd hoved hode ansigt ansikt sko
    kjole læder tre glas papir bog bok side smuk vakker ny gammel købe kjøpe gave køkken kjøkken rum dør vindue
    vindu bord stol lys ur klokke kage kake kaffe vin flaske brød ost sommer vinter nat natt himmel sne snø
    skole verden bryllup fødselsdag jul baggrund bakgrunn håndskrevet viser ikke hvordan""",
    "pl": """i w na z do się nie jest to że o jak za po co dla od przez ale czy tylko być tak był jego już może
    są przy ich bardzo oraz która który które roku ten tego jej pod także gdy ma zdjęcie obraz rysunek cyfra
    liczba litera czerwony niebieski zielony żółty czarny biały brązowy szary mały mała duży duża zero jeden dwa
    trzy cztery pięć sześć siedem osiem dziewięć dziesięć koło kwadrat trójkąt gwiazda dom samochód ulica miasto
    rzeka góra plaża drzewo kwiat ogród pies kot ptak koń kobieta mężczyzna dziecko dzieci dziewczyna chłopiec
    ręka głowa twarz buty sukienka skóra drewno szkło papier książka strona piękny nowy stary kupić prezent
    kuchnia pokój drzwi okno stół krzesło światło zegar ciasto kawa wino butelka chleb ser lato zima noc niebo
    śnieg szkoła świat ślub urodziny tło""",
    "cs": """a v na se je to že z s do o jako za pro po by ale od jsou ve který které která jeho byl byla není
    také než už jen nebo až jak při když tak být mezi podle let roku obrázek fotka kresba číslice číslo písmeno
    červený modrý zelený žlutý černý bílý hnědý šedý malý malá velký velká nula jedna dva tři čtyři pět šest
    sedm osm devět deset kruh čtverec trojúhelník hvězda dům auto ulice město řeka hora pláž strom květina
    zahrada pes kočka pták kůň žena muž dítě děti dívka chlapec ruka hlava tvář boty šaty kůže dřevo sklo papír
    kniha strana krásný nový starý koupit dárek kuchyně pokoj dveře okno stůl židle světlo hodiny dort káva víno
    láhev chléb sýr léto zima noc nebe sníh škola svět svatba narozeniny vánoce pozadí""",
    "ro": """și de în a la cu pe nu este un o care din să pentru că mai au se ce sau dar ca sunt prin fost după
    fi al ale lui cel până foarte sub între imagine fotografie poză desen cifră număr literă roșu albastru verde
    galben negru alb maro gri mic mică mare zero unu doi trei patru cinci șase șapte opt nouă zece cerc pătrat
    triunghi stea casă mașină stradă oraș râu munte plajă copac floare grădină câine pisică pasăre cal femeie
    bărbat copil copii fată băiat mână cap față pantofi rochie piele lemn sticlă hârtie carte pagină frumos nou
    vechi cumpără cadou bucătărie cameră ușă fereastră masă scaun lumină ceas tort cafea vin pâine brânză vară
    iarnă noapte cer zăpadă școală lume nuntă aniversare fundal""",
    "hu": """a az és hogy nem is egy ez de meg ha csak már volt mint van még el vagy ki be fel lesz minden olyan
    után mert nagyon szerint között alatt kép fotó rajz számjegy szám betű piros kék zöld sárga fekete fehér
    barna szürke kicsi kis nagy nulla kettő három négy öt hat hét nyolc kilenc tíz kör négyzet háromszög csillag
    ház autó utca város folyó hegy strand fa virág kert kutya macska madár ló nő férfi gyerek gyerekek lány fiú
    kéz fej arc cipő ruha bőr üveg papír könyv oldal szép új régi vásárlás ajándék konyha szoba ajtó ablak
    asztal szék fény óra torta kávé bor kenyér sajt nyár tél éjszaka ég hó iskola világ esküvő születésnap
    karácsony háttér kézzel írott""",
    "fi": """ja on ei se että hän oli ovat mutta myös kun tai niin kuin sen mitä jos vain nyt sekä joka jotka
    hyvin mukaan jälkeen ennen kanssa kuva valokuva piirros numero luku kirjain punainen sininen vihreä
    keltainen musta valkoinen ruskea harmaa pieni suuri iso nolla yksi kaksi kolme neljä viisi kuusi seitsemän
    kahdeksan yhdeksän kymmenen ympyrä neliö kolmio tähti talo auto katu kaupunki joki vuori ranta puu kukka
    puutarha koira kissa lintu hevonen nainen mies lapsi lapset tyttö poika käsi pää kasvot kengät mekko nahka
    lasi paperi kirja sivu kaunis uusi vanha osta lahja keittiö huone ovi ikkuna pöytä tuoli valo kello kakku
    kahvi viini pullo leipä juusto kesä talvi yö taivas lumi koulu maailma häät syntymäpäivä joulu tausta""",
    "tr": """ve bir bu da de için ile çok olarak daha olan gibi en var ne kadar o ama sonra her şey değil mi ki
    ya ise onun göre olduğu tarafından önce ancak yeni resim fotoğraf çizim rakam sayı harf kırmızı mavi yeşil
    sarı siyah beyaz kahverengi gri küçük büyük sıfır iki üç dört beş altı yedi sekiz dokuz on daire kare üçgen
    yıldız ev araba sokak şehir nehir dağ plaj ağaç çiçek bahçe köpek kedi kuş at kadın adam çocuk çocuklar kız
    erkek el baş yüz ayakkabı elbise deri ahşap cam kağıt kitap sayfa güzel eski satın al hediye mutfak oda kapı
    pencere masa sandalye ışık saat pasta kahve şarap şişe ekmek peynir yaz kış gece gökyüzü kar okul dünya
    düğün doğum günü arka plan""",
    "id": """yang dan di dari ini untuk dengan pada itu tidak adalah dalam akan juga ke atau oleh ada bisa saya
    karena lebih mereka sudah tersebut sebagai kami anda telah seperti dapat hanya menjadi saat tahun satu
    gambar foto angka huruf merah biru hijau kuning hitam putih cokelat abu kecil besar nol dua tiga empat lima
    enam tujuh delapan sembilan sepuluh lingkaran persegi segitiga bintang rumah mobil jalan kota sungai gunung
    pantai pohon bunga taman anjing kucing burung kuda wanita pria anak gadis tangan kepala wajah sepatu gaun
    kulit kayu kaca kertas buku halaman cantik indah baru tua lama beli jual harga murah hadiah dapur kamar
    pintu jendela meja kursi cahaya jam kue kopi roti keju musim malam langit salju sekolah dunia pernikahan
    ulang latar belakang tulisan""",
}
"""Language (ISO 639-1; ``da`` is Danish and Norwegian) → its words, lower case, between blanks. Function words,
numbers, colours, and what captions are about."""
