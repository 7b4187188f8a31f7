/*
 * Emoji by the names that people write between colons, `:smile:`. A line is one table row after the other: the emoji,
 * and its names, the best first.
 *
 * Knows nothing.
 */

const TABLE = `
😀 grinning,😃 smiley,😄 smile,😁 grin,😆 laughing satisfied,😅 sweat_smile,🤣 rofl,😂 joy,🙂 slightly_smiling_face,
🙃 upside_down_face,😉 wink,😊 blush,😇 innocent,🥰 smiling_face_with_three_hearts,😍 heart_eyes,🤩 star_struck,
😘 kissing_heart,😗 kissing,😋 yum,😛 stuck_out_tongue,😜 stuck_out_tongue_winking_eye,🤪 zany_face,😝 stuck_out_tongue_closed_eyes,
🤑 money_mouth_face,🤗 hugs,🤭 hand_over_mouth,🤫 shushing_face,🤔 thinking,🤐 zipper_mouth_face,🤨 raised_eyebrow,
😐 neutral_face,😑 expressionless,😶 no_mouth,😏 smirk,😒 unamused,🙄 roll_eyes,😬 grimacing,🤥 lying_face,😌 relieved,
😔 pensive,😪 sleepy,🤤 drooling_face,😴 sleeping,😷 mask,🤒 face_with_thermometer,🤕 face_with_head_bandage,
🤢 nauseated_face,🤮 vomiting_face,🤧 sneezing_face,🥵 hot_face,🥶 cold_face,🥴 woozy_face,😵 dizzy_face,🤯 exploding_head,
🤠 cowboy_hat_face,🥳 partying_face,😎 sunglasses,🤓 nerd_face,🧐 monocle_face,😕 confused,😟 worried,🙁 slightly_frowning_face,
😮 open_mouth,😯 hushed,😲 astonished,😳 flushed,🥺 pleading_face,😦 frowning,😧 anguished,😨 fearful,😰 cold_sweat,
😥 disappointed_relieved,😢 cry,😭 sob,😱 scream,😖 confounded,😣 persevere,😞 disappointed,😓 sweat,😩 weary,😫 tired_face,
🥱 yawning_face,😤 triumph,😡 rage pout,😠 angry,🤬 cursing_face,😈 smiling_imp,👿 imp,💀 skull,💩 poop hankey,🤡 clown_face,
👻 ghost,👽 alien,👾 space_invader,🤖 robot,😺 smiley_cat,😸 smile_cat,😹 joy_cat,😻 heart_eyes_cat,🙀 scream_cat,
🙈 see_no_evil,🙉 hear_no_evil,🙊 speak_no_evil,
💋 kiss,💌 love_letter,💘 cupid,💝 gift_heart,💖 sparkling_heart,💗 heartpulse,💓 heartbeat,💕 two_hearts,💔 broken_heart,
❤️ heart,🧡 orange_heart,💛 yellow_heart,💚 green_heart,💙 blue_heart,💜 purple_heart,🤎 brown_heart,🖤 black_heart,🤍 white_heart,
💯 100,💢 anger,💥 boom collision,💫 dizzy,💦 sweat_drops,💨 dash,💣 bomb,💬 speech_balloon,💭 thought_balloon,💤 zzz,
👋 wave,🤚 raised_back_of_hand,✋ hand raised_hand,🖖 vulcan_salute,👌 ok_hand,🤏 pinching_hand,✌️ v,🤞 crossed_fingers,
🤘 metal,🤙 call_me_hand,👈 point_left,👉 point_right,👆 point_up_2,👇 point_down,☝️ point_up,👍 +1 thumbsup,👎 -1 thumbsdown,
✊ fist,👊 facepunch punch,👏 clap,🙌 raised_hands,👐 open_hands,🤝 handshake,🙏 pray,✍️ writing_hand,💅 nail_care,💪 muscle,
👂 ear,👃 nose,🧠 brain,👀 eyes,👁️ eye,👅 tongue,👄 lips,👶 baby,👦 boy,👧 girl,👨 man,👩 woman,👴 older_man,👵 older_woman,
🤷 shrug,🤦 facepalm,🙋 raising_hand,🙇 bow,💁 information_desk_person,🙅 no_good,🙆 ok_woman,👮 cop,🕵️ detective,👷 construction_worker,
🎅 santa,🦸 superhero,🧙 mage,🧟 zombie,💃 dancer,🕺 man_dancing,🚶 walking,🏃 runner running,👫 couple,👪 family,👣 footprints,
🐵 monkey_face,🐒 monkey,🐶 dog,🐕 dog2,🐩 poodle,🐺 wolf,🦊 fox_face,🦝 raccoon,🐱 cat,🐈 cat2,🦁 lion,🐯 tiger,🐴 horse,🦄 unicorn,
🐮 cow,🐷 pig,🐑 sheep,🐐 goat,🐪 dromedary_camel,🐘 elephant,🐭 mouse,🐹 hamster,🐰 rabbit,🦔 hedgehog,🦇 bat,🐻 bear,🐨 koala,
🐼 panda_face,🦥 sloth,🐔 chicken,🐣 hatching_chick,🐤 baby_chick,🐦 bird,🐧 penguin,🦆 duck,🦉 owl,🐸 frog,🐢 turtle,🐍 snake,
🐉 dragon,🦖 t-rex,🐳 whale,🐬 dolphin,🐟 fish,🐙 octopus,🦀 crab,🐌 snail,🦋 butterfly,🐛 bug,🐜 ant,🐝 bee honeybee,🐞 beetle,🕷️ spider,
💐 bouquet,🌸 cherry_blossom,🌹 rose,🌻 sunflower,🌷 tulip,🌱 seedling,🌲 evergreen_tree,🌳 deciduous_tree,🌴 palm_tree,🌵 cactus,
🍀 four_leaf_clover,🍁 maple_leaf,🍂 fallen_leaf,🍄 mushroom,
🍇 grapes,🍉 watermelon,🍊 tangerine,🍋 lemon,🍌 banana,🍍 pineapple,🥭 mango,🍎 apple,🍐 pear,🍑 peach,🍒 cherries,🍓 strawberry,
🥝 kiwi_fruit,🍅 tomato,🥑 avocado,🥔 potato,🥕 carrot,🌽 corn,🌶️ hot_pepper,🥒 cucumber,🧄 garlic,🧅 onion,🍞 bread,🥐 croissant,
🥨 pretzel,🧀 cheese,🥚 egg,🥞 pancakes,🥓 bacon,🍔 hamburger,🍟 fries,🍕 pizza,🌭 hotdog,🥪 sandwich,🌮 taco,🥗 green_salad,🍿 popcorn,
🍱 bento,🍚 rice,🍜 ramen,🍝 spaghetti,🍣 sushi,🥟 dumpling,🍦 icecream,🍩 doughnut,🍪 cookie,🎂 birthday,🍰 cake,🧁 cupcake,🥧 pie,
🍫 chocolate_bar,🍬 candy,🍯 honey_pot,☕ coffee,🍵 tea,🍷 wine_glass,🍸 cocktail,🍺 beer,🍻 beers,🥂 clinking_glasses,🍾 champagne,
🌍 earth_africa,🌎 earth_americas,🌏 earth_asia,🌋 volcano,🏕️ camping,🏖️ beach_umbrella,🏠 house,🏥 hospital,🏫 school,🏰 castle,
⛪ church,⛺ tent,🌃 night_with_stars,🌅 sunrise,🌉 bridge_at_night,🚂 steam_locomotive,🚄 bullettrain_side,🚌 bus,🚑 ambulance,
🚒 fire_engine,🚓 police_car,🚕 taxi,🚗 car,🚚 truck,🚜 tractor,🚲 bike,🛵 motor_scooter,⛽ fuelpump,🚨 rotating_light,🚦 vertical_traffic_light,
⚓ anchor,⛵ sailboat,🚢 ship,✈️ airplane,🚁 helicopter,🚀 rocket,🛸 flying_saucer,⌛ hourglass,⏳ hourglass_flowing_sand,⌚ watch,
⏰ alarm_clock,⏱️ stopwatch,🌑 new_moon,🌙 crescent_moon,🌕 full_moon,☀️ sunny,⭐ star,🌟 star2,☁️ cloud,⛅ partly_sunny,🌈 rainbow,
☔ umbrella,⚡ zap,❄️ snowflake,⛄ snowman,🔥 fire,💧 droplet,🌊 ocean,
🎃 jack_o_lantern,🎄 christmas_tree,🎆 fireworks,🎉 tada,🎊 confetti_ball,🎈 balloon,✨ sparkles,🎁 gift,🎀 ribbon,🏆 trophy,🏅 medal_sports,
🥇 1st_place_medal,🥈 2nd_place_medal,🥉 3rd_place_medal,⚽ soccer,🏀 basketball,🏈 football,⚾ baseball,🎾 tennis,🏐 volleyball,
🎳 bowling,🏓 ping_pong,⛳ golf,🎣 fishing_pole_and_fish,🎯 dart,🎮 video_game,🎲 game_die,🧩 jigsaw,♟️ chess_pawn,🎨 art,🧵 thread,
👓 glasses,👕 shirt,👖 jeans,👗 dress,👟 athletic_shoe,🎩 tophat,🎓 mortar_board,👑 crown,💍 ring,💎 gem,🔔 bell,🔕 no_bell,🎵 musical_note,
🎶 notes,🎤 microphone,🎧 headphones,📻 radio,🎷 saxophone,🎸 guitar,🎹 musical_keyboard,🎺 trumpet,🎻 violin,🥁 drum,
📱 iphone,☎️ phone telephone,🔋 battery,🔌 electric_plug,💻 computer,🖥️ desktop_computer,🖨️ printer,⌨️ keyboard,💾 floppy_disk,💿 cd,
🎥 movie_camera,📺 tv,📷 camera,🔍 mag,🕯️ candle,💡 bulb,🔦 flashlight,📖 book,📚 books,📓 notebook,📰 newspaper,🔖 bookmark,💰 moneybag,
💵 dollar,💳 credit_card,✉️ envelope,📧 email,📦 package,✏️ pencil2,📝 memo pencil,📁 file_folder,📅 date,📈 chart_with_upwards_trend,
📉 chart_with_downwards_trend,📊 bar_chart,📋 clipboard,📌 pushpin,📍 round_pushpin,📎 paperclip,📏 straight_ruler,✂️ scissors,🗑️ wastebasket,
🔒 lock,🔓 unlock,🔑 key,🔨 hammer,⚙️ gear,🔧 wrench,🔗 link,🧰 toolbox,🧲 magnet,🧪 test_tube,🔬 microscope,🔭 telescope,📡 satellite,💉 syringe,
💊 pill,🚪 door,🛏️ bed,🚽 toilet,🚿 shower,🧹 broom,🧻 roll_of_paper,🛒 shopping_cart,🗿 moyai,
🚧 construction,⚠️ warning,⛔ no_entry,🚫 no_entry_sign,☢️ radioactive,⬆️ arrow_up,➡️ arrow_right,⬇️ arrow_down,⬅️ arrow_left,🔄 arrows_counterclockwise,
🔙 back,🔜 soon,🔝 top,♻️ recycle,✅ white_check_mark,☑️ ballot_box_with_check,✔️ heavy_check_mark,❌ x,➕ heavy_plus_sign,➖ heavy_minus_sign,
❓ question,❗ exclamation,‼️ bangbang,💲 heavy_dollar_sign,♾️ infinity,🆗 ok,🆕 new,🆒 cool,🆓 free,🆘 sos,🔴 red_circle,🟠 orange_circle,
🟡 yellow_circle,🟢 green_circle,🔵 large_blue_circle,🟣 purple_circle,⚫ black_circle,⚪ white_circle,🏁 checkered_flag,🚩 triangular_flag_on_post,
🏳️‍🌈 rainbow_flag,🏴‍☠️ pirate_flag`;

/** Each emoji by each of its names. */
export const emoji = new Map(TABLE.split(",").flatMap((row) => {
  const [sign, ...names] = row.trim().split(" ");
  return names.map((name) => [name, sign]);
}));

/** The names, the common ones first. */
export const emojiNames = [...emoji.keys()];
