"""The guesses that readers make: each with the thought that leads there, and what that thought overlooks."""

# Question -> name -> guess -> sentence. A guess is met when a reader has said it and the run has not. Numbers that the
# library can compute (another policy, another depth, a part of the run) are computed again by the tests.
GUESSES = {
    "00.atomics": {
        "before": {
            1200: (
                "1,200 is one for each page, each way, each level: the stock is forgotten. Charging was batched "
                "already."
            ),
            800: (
                "800 is two levels, both ways, page by page: the root has a counter too, and charging was batched "
                "already."
            ),
            600: "600 is giving back alone. Charging goes to the counters too, once for 32 pages.",
            400: (
                "400 is one for each page and each way. Every level up to the root is changed, but charging is batched."
            ),
            414: "414 counts two levels. The root has a counter too.",
            200: "200 is one for each page. A page that comes back is subtracted at three counters.",
            39: "39 is what it costs after the patch. Before it each page that came back went to the counters.",
        },
        "after": {
            0: "0 would be right if the stocks never had to go to the counters. They hold a batch, not everything.",
            21: "21 is charging alone. A stock that holds more than 32 pages goes back to the counters as well.",
            18: "18 is giving back alone. Charging takes a batch of 32 from the counters each time.",
            42: (
                "42 takes a drain for every batch that was charged. 32 pages may stay; the 33rd drains: 6 drains, "
                "not 7."
            ),
            26: "26 counts two levels. The root has a counter too.",
            621: "621 is what it costs before the patch. Giving back one page at a time is what the patch changes.",
        },
    },
    "01.listed": {
        "percent": {
            100: "100 would be all samples. A listing stops somewhere: what is below the last row is not shown.",
            50: "Half would be a hot profile indeed. Here no row has more than 2.13 %, and there are 16 rows.",
            3.95: "3.95 is the three rows of the path that gives back. Asked are all 16 rows.",
            2.13: "2.13 is the first row alone. Asked are all 16 rows together.",
        }
    },
    "01.rows": {
        "rows": {
            1: (
                "1 is page_counter_cancel, the only one whose name says page counter. Two that lead to it are listed "
                "as well."
            ),
            2: (
                "2 leaves out tcp_delack_timer_handler: its name speaks of acknowledgements, but first it gives "
                "memory back."
            ),
            6: "6 takes the spin locks and tcp_ack in. They do other work too, and the listing does not say how much.",
            16: "16 is the whole listing. Most rows are the scheduler, the network and the program itself.",
        }
    },
    "01.ratio": {
        "giving_back_per_charging": {
            1: "1 says that what comes must go, atomic for atomic. But 32 pages are charged with one atomic a level.",
            3: "3 is the number of levels. Both ways meet all three; what differs is how many pages go at once.",
            1000: "1,000 is how many pages come back. Charging takes a trip for every 32 pages, not one in all.",
            64: (
                "64 counts the batch twice. A charge takes 32 pages at once, and a page comes back alone: about 32 "
                "to 1."
            ),
        }
    },
    "02.charge": {
        "atomics": {
            3: "3 is the number of levels below the root. The root has a counter too.",
            1: "1 is right for one level. Every level up to the root knows of the pages.",
            160: "160 is 40 pages times 4 levels. One atomic adds all 40 pages to a level.",
            40: "40 is one for each page. One atomic adds any number of pages; count the levels.",
            8: "8 is two trips, for 32 pages and for 8. More than a batch is charged in one trip, with its exact size.",
        }
    },
    "02.depth": {
        "atomics": {
            1656: "1,656 is 4 times 414. Depth 1 has two counters, depth 4 has five: the factor is 5 / 2.",
            828: "828 is 4 counters. The root has one too: depth 4 means five.",
            414: "414 is what depth 1 costs. Each level more is one atomic more for every trip.",
            2000: (
                "2,000 is one for each page, each way, each level: the stock is forgotten. Charging was batched "
                "already."
            ),
        }
    },
    "02.refused": {
        "atomics": {
            3: "3 are the additions. What was added has to be taken back.",
            5: "5 leaves out that the level that refuses had added too: it takes its own addition back.",
            4: "4 would be the way up to the root. It ends at the level that refuses, and then it is undone.",
            8: "8 goes up to the root and back. The third level refuses, so the root is never touched.",
            1: "1 looks at one level only. The leaf and the one above it have added already, and are undone.",
            0: "0 would be right if a level looked before it adds. It adds first and looks afterwards.",
        }
    },
    "02.tries": {
        "softirq": {
            6: "6 is one try. First the batch of 32 is tried, and then the exact size.",
            3: "3 are the additions of one try. Each is taken back, and there are two tries.",
            48: "48 is the task. In softirq nothing may wait: after the exact size the answer is no.",
            0: "0 would be right if it looked before it adds. Each try adds at three levels, and undoes that.",
        },
        "task": {
            12: "12 is softirq: two tries. A task may wait, so it reclaims, drains and tries again.",
            6: "6 is one try. A task makes eight.",
            42: "42 is seven tries: the one after the drain of the stocks is forgotten, or the one with the batch.",
            36: "36 is six tries: one, and five more. The batch comes before, and a drain between.",
            30: "30 is the last five tries alone. Three come before: batch, exact size, and after the drain.",
        },
    },
    "02.limit": {
        "old_way_refuses": {
            "no": "That is the new way. The old one looks first, and does not set a limit below what is charged."
        },
        "new_way_limit": {
            40: "40 is what is charged. The new way sets the limit at once, even below that, and reclaims afterwards.",
            -1: "No limit is what the old way leaves behind, because it refuses. The new way never refuses.",
            64: "64 rounds to batches. Batches are how pages are charged; a limit is set to the page.",
        },
    },
    "03.trips": {
        "trips": {
            100: "100 is one trip for each page: the stock is forgotten. A trip brings 32 pages.",
            3: "3 is 100 / 32, rounded down. The last four pages need a trip too.",
            1: "One trip brings 32 pages. They last for 32 charges, not for ever.",
            96: "96 is how many charges the stock serves. Asked are the others.",
            32: "32 is how many pages a trip brings. Asked is how many trips.",
            12: "12 is how many atomics the trips cost, three each. Asked are the trips.",
        }
    },
    "03.partly": {
        "takes_the_five": {
            "yes": "Taking what is there sounds thrifty. The kernel compares once and takes all or nothing: the 5 stay."
        }
    },
    "03.traffic": {
        "most": {
            "large": "Large calls save trips by themselves. More than a batch never even looks into the stock.",
            "turns": "Single pages would hit, but two cgroups take turns, and a stock holds pages of one.",
            "mixed": "Mixed hits often, but a call of several pages uses the batch up sooner than a single page does.",
        },
        "without_hits": {
            0: "0 expects some hit everywhere. Calls above the batch never look, and two cgroups drive each other out.",
            1: "1 forgets one of two: calls above the batch never look, and two cgroups in turn drive each other out.",
            3: "3 takes mixed for hopeless. One cgroup, at most 16 pages a call: most charges find enough.",
            4: "4 would make the stock useless. Single pages of one cgroup hit 31 times out of 32.",
        },
    },
    "03.batch": {
        "misses_become": {
            313: "313 is the batch of 32. A batch twice as large is used up half as often.",
            625: "625 is the wrong way: that is a batch of 16. A larger batch makes trips rarer.",
            78: "78 is a quarter of 313. Twice the batch halves the trips.",
            10000: "10,000 is one for each page: the stock is forgotten.",
        },
        "most_in_stock": {
            64: "64 is the batch. The charge that fetches it takes a page at once, so 63 are left.",
            31: "31 belongs to the batch of 32. The batch is 64 now.",
            32: (
                "32 is what may stay after the patch with a batch of 32. Here it is 64, and the rules are those of "
                "4.13."
            ),
            128: "128 would take two batches. A stock is filled only when it cannot serve, and then with one batch.",
        },
    },
    "04.one_page": {
        "before": {
            2: "2 is the number of levels below the root. The root has a counter too.",
            1: "1 is right for one level. The page is subtracted at every level up to the root.",
            6: "6 is there and back. Asked is one uncharge.",
            0: "0 is after the patch. Before it an uncharge never looks at the stock.",
        },
        "after": {
            3: "3 is before the patch. After it the page goes into the stock, which is this CPU's own.",
            1: "The stock belongs to this CPU alone, so a plain addition will do: no atomic.",
            6: "6 is a charge and an uncharge, each at three counters. Asked is the uncharge, and it stays on its CPU.",
        },
    },
    "04.stock": {
        "uncharge_hunk_alone": {
            32: "32 is what the cap lets stay. The cap is the other hunk.",
            2: "2 is with both hunks: six drains of 33 pages, and 2 are left. Nothing drains here.",
            0: "0 is before the patch, when nothing was given back into a stock.",
            224: "224 counts the stock of CPU 0 too. Asked is CPU 1.",
            31: "31 is what charging leaves in a stock. CPU 1 only gives back.",
        },
        "both": {
            32: "32 may stay, but only until the next page comes: the 33rd drains them all.",
            8: "8 is what is left of 200 if every 32nd page drained. 32 may stay; the 33rd drains.",
            0: "0 would need a drain just at the end. The last drain comes with the 198th page.",
            200: "200 is without the cap. With it the stock is emptied at every 33rd page.",
        },
    },
    "04.edge": {
        "more_than": {
            64: "64 is a batch for every 32 charges. The page that comes back fills the stock again: one will do.",
            2064: "2,064 is before the patch, when each page that came back went to the counters.",
            0: "0 would need a stock with pages in it. The first charge has to fetch a batch, at two counters.",
            4: "4 would drain once. With the page that came back the stock holds 32, and that is not more than 32.",
        },
        "at_least": {
            2: "2 is with `>`. One page decides here: a batch that is whole again is thrown away.",
            4: "4 is what one pair takes: a batch is fetched, and drained. The next pair does the same again.",
            2000: "2,000 is fetching batches alone, or draining them alone. Each pair does both.",
            2064: "2,064 is before the patch, when charging was batched. With `>=` no batch lives to be used.",
            126: (
                "126 is the traffic whose pages come back on another CPU. Here they come back to the CPU that charges."
            ),
        },
    },
    "04.outside": {
        "sock": {
            64: "64 is what CPU 0 counts. CPU 1 counts 64 down, and the sum is what one sees.",
            31: "31 is what the counter is ahead. `sock` knows nothing of stocks: it follows each call.",
            -64: "-64 is what CPU 1 counts. CPU 0 counts 64 up, and the sum is what one sees.",
        },
        "current": {
            0: "0 is what sockets hold. The counter also counts the pages that lie in a stock.",
            64: "64 would mean that nothing went back. The 33rd page drained the stock; 31 came after it.",
            32: "32 is the most that may stay. One drain of 33 pages happened, and 64 - 33 is 31.",
            63: "63 adds what CPU 0 could hold. Its 64 charges used up two batches, so its stock is empty.",
        },
    },
    "04.lump": {
        "pages_per_call": {
            32: "32 is the batch. 32 pages may stay, so every second call is free; `>` is not `>=`.",
            17: "From 17 pages on every second call drains. The other half of the calls is still free.",
            64: "64 is two batches. One call above 32 is enough to drain the stock at once.",
            2: "2 says that only single pages gain. Lumps of 2 drain at every 17th call.",
        }
    },
    "04.two_cgroups": {
        "before": {
            400: "400 is one for each page and each level: the stock is forgotten. Charging was batched already.",
            200: "200 is giving back alone. Charging takes 4 batches, at two counters each.",
            100: "100 leaves out a level. Depth 1 has two counters, and charging takes its batches besides.",
            8: "8 is charging alone. Each page that comes back goes to two counters.",
        },
        "after": {
            208: (
                "208 is before the patch. After it giving back takes the stock over, so the next charge finds it gone."
            ),
            0: (
                "0 would be right if the stock served both. It holds pages of one cgroup; each call drives out the "
                "other's."
            ),
            8: "8 is charging alone as before. But each page that comes back drives the charging cgroup's stock out.",
            600: "600 is 6 for each pair. The first charge finds an empty stock, so there is nothing to drain yet.",
            200: (
                "200 is fetching batches alone, 100 of them at two counters. But all calls except the first drain too."
            ),
        },
    },
    "05.bound": {
        "depth_1": {
            496: "496 is 16 times 31, which charging alone leaves. Giving back can make it 32.",
            528: "528 is 16 times 33. With the 33rd page a stock is drained; 32 may stay.",
            32: "32 is one CPU's stock. There are 16.",
            1024: "1,024 adds up two levels. Each level sees the same pages once.",
            0: "0 is what is in use. The counter says what is in the stocks besides.",
        },
        "depth_4": {
            2560: "2,560 adds up five levels. Each level sees the same pages once.",
            2048: "2,048 is depth times the stocks. Each level sees the same pages once; depth does not multiply.",
            496: "496 is 16 times 31, which charging alone leaves. Giving back can make it 32.",
            128: "128 is 4 times 32. The CPUs multiply, and there are 16; the depth does not.",
        },
    },
    "05.ordinary": {
        "small": {
            256: (
                "256 would need eight full stocks at one moment. They fill and empty on their own, one after the other."
            ),
            32: "32 is one stock. There are eight CPUs, and small calls use them all.",
            128: "128 says half full. That is about the mean, 133 pages; asked is the peak.",
            0: "0 would need stocks that are empty all the time. Small calls are just what they are for.",
        },
        "bulk": {
            256: "256 is the bound for eight CPUs. Bulk uses two of them here.",
            217: "217 is the small calls, on eight CPUs. Bulk uses two, and its lumps drain.",
            32: "32 is one stock. Two CPUs take part: one charges, and one gives back.",
            0: "Large lumps drain at once, but the CPU that charges keeps what is left of its batch.",
        },
    },
    "05.no_cap": {
        "drift": {
            32: "32 is what the cap lets stay on a CPU. The cap is taken away.",
            64: "64 is two stocks with the cap. Without it the stock of CPU 1 has no bound.",
            16: "16 is what CPU 0 has left of its last batch. CPU 1 holds all that came back.",
            0: "0 would need somebody to take the pages out. CPU 1 never charges, and no other cgroup comes there.",
        }
    },
    "05.early": {
        "softirq": {
            "yes": "In use are 3 of 100, so 60 seem to fit. But the counter says 96: each CPU took a whole batch."
        },
        "task": {"no": "The counter says 96 of 100. But a task may wait: it has the stocks drained, and then it fits."},
    },
    "05.refused": {
        "before": {
            1: (
                "1 is after the patch. Before it what is given back goes to the counters, and the next packet finds "
                "none."
            ),
            0: (
                "The limit is used up, and it stays so: 10 of 10 are in use. In softirq no stock is drained to make "
                "room."
            ),
            2: "Each packet fares like the one before it: its pages leave the cgroup, and 10 of 10 are in use again.",
        },
        "after": {
            6: "6 is before the patch. After it the refused packet's pages stay in the stock, and the next takes them.",
            0: "The first packet finds no stock to pay from. It leaves one for the next.",
            2: "Only the first finds nothing. Each that follows takes the pages, and gives them back for the next.",
            3: "Every second one is refused if the packets stay. Here each is read at once, and its pages come back.",
        },
    },
    "05.kept": {
        "udp_dropped": {
            40: "40 is before the patch. After it a refused packet leaves 3 pages in the stock for the next.",
            1: "1 holds if each packet is read at once. Here a packet that fits stays, and takes the pages with it.",
            0: "0 is TCP, which asks twice. UDP asks once, and that packet is lost.",
        },
        "tcp_dropped": {
            40: "40 is before the patch. After it the first try leaves the pages that the second one takes.",
            20: "20 is UDP, which asks once. TCP asks again in the same call, and then the stock pays.",
            1: "Each packet, also the first, gets a second try, which takes what the first one left in the stock.",
        },
        "tcp_usage": {
            10: "10 is the limit, and what the counter says before the patch. After it every packet gets in, forced.",
            70: "70 is UDP, which keeps 20 packets. TCP keeps all 40.",
            120: "120 is 40 packets of 3 pages. 10 pages were in the queue already.",
            250: "250 charges each packet twice. The second try takes what the first one charged.",
        },
    },
    "06.way": {
        "already_here": {
            0: "Even a line of one's own costs: the atomic holds it until the sum is written back.",
            1.5: (
                "1.5 is a plain addition on a line of one's own. An atomic is locked, and takes several times as long."
            ),
            45: "45 is the way from another core of the package. Here the line need not travel.",
            100: "100 is more than a line needs within the package. Here it is in the cache already; nothing travels.",
        },
        "other_package": {
            8: "8 is the line that is here already. From the other package it has to travel first.",
            45: "45 is the way within the package. Between packages a line takes nearly three times as long.",
            255: "255 is there and back. The line comes once; the figure is one way.",
            1000: (
                "1,000 is a whole microsecond. A line comes from the other package in little more than a tenth of that."
            ),
        },
    },
    "06.sharing": {
        "percent": {
            0: (
                "0 says: no atomic less, no time less. But those who only read `parent` fetched the line, and held "
                "it up."
            ),
            100: "100 would be right if only readers waited. The atomics themselves still wait for `count`.",
            20: "20 is one word in five. Not words count but visits: each uncharge reads `parent` twice at each level.",
        }
    },
    "06.queue": {
        "cpus_10": {
            20: "20 is the most that the line can serve. 10 CPUs do not ask that often.",
            0.952: "0.952 is one CPU: one operation in 1,050 ns. Asked are all ten together.",
            200: "200 is 10 CPUs over 50 ns: then none of them would ever work for its 1,000 ns.",
        },
        "cpus_40": {
            38: (
                "38 is 40 CPUs of which none waits. But the line serves one at a time, 50 ns each: 20 in a microsecond."
            ),
            0.952: "0.952 is one CPU. Asked are all 40 together.",
            9.33: "9.33 is 10 CPUs. There was room for more: the line can serve 20.",
            800: "800 is 40 CPUs over 50 ns: then all would be served at once, and none would ever work.",
        },
    },
    "07.rest": {
        "factor": {
            1: "1 says that the others stay. But shares add up to 100: what is gone makes the rest a larger part.",
            0.96: "0.96 is what is left of the whole. The factor is its inverse.",
            3.95: "3.95 is how many percent vanish. Divide the old whole by what is left.",
            1.41: "1.41 would be two fifths more. The rest grows by one part in 24: one is divided by 0.9605.",
        }
    },
    "07.reduce": {
        "before": {
            1.14: "1.14 is what was published. Only page_counter_cancel was fitted; the others come out as they come.",
            0.72: "0.72 is its own atomic alone. It also reads `parent`, on lines that other CPUs write.",
            2.13: "2.13 is page_counter_cancel, to which the rate was fitted.",
        },
        "after": {
            1.14: "1.14 says: its code is the same, so its share is. But it reads lines that nobody takes away now.",
            1.67: "1.67 is before. The lines that it reads are no longer taken away, so it waits less.",
            0: "It does not vanish: one atomic on the counter of all sockets stays in every call.",
        },
    },
    "07.atomics_only": {
        "reduce": {
            "fall": "It fell because it read `parent` on lines that others wrote. That reading has been taken away.",
            "rise": "It would rise with the rest if a large share had gone. All modelled together are a few percent.",
        }
    },
    "08.gain": {
        "cpus_16": {
            1: "1 says that 16 CPUs do not meet. Each counter is one line for all, and they wait for it now and then.",
            15.9: "15.9 times fewer atomics are not 15.9 times as much done. Most of the time 16 CPUs do other work.",
            2: (
                "2 would mean that half of the time was lost in waiting. With 16 CPUs it was a sixth, and not all of "
                "it went."
            ),
        },
        "cpus_256": {
            1: "1 says that nothing is gained. Something is, but another line is in the way.",
            7.13: "7.13 is without `memory_allocated`. That line is still there, and it is the wall now.",
            15.9: "15.9 times fewer atomics on the counters. But each call still executes one on `memory_allocated`.",
            256: "256 would be right if all stood in one queue before and none after. Another queue is left.",
        },
    },
    "08.behind": {
        "cpus_256": {
            1.28: "1.28 is with `memory_allocated`. That was the wall that hid what the patch is worth.",
            1: "1 says that the patch hardly matters. It looked so, because of the wall behind the wall.",
            256: "256 would need a single queue before. The CPUs also have other work, 4,000 ns between two calls.",
            16: "16 or so times fewer atomics are not as many times more done: after it the other work is the limit.",
        }
    },
    "08.remedies": {
        "fewer_levels": {
            50: "50 says: half the counters, half the wait. But lines work like stations in a row: one sets the pace.",
            100: "100 says: half the atomics, twice as much done. The line that sets the pace is as full as before.",
            25: (
                "25 takes each line for a part of the wall. The CPUs queue at one of them, and leave it one after the "
                "other."
            ),
        },
        "larger_batch": {
            100: (
                "100 says: twice the batch, half the atomics. Charging was batched already; giving back has no batch "
                "here."
            ),
            50: "50 says: twice the batch, half the trips. Those were one in 33; giving back fills the line.",
            24: "24 is giving back through the stock. A batch makes charging rarer, and it was rare already.",
        },
        "through_the_stock": {
            3: "3 is the larger batch. Giving back one page at a time is what fills the line.",
            0: "0 is fewer levels. The stock takes nearly all visits off each counter, also off the one that is full.",
            100: "100 would mean that half of the time was waiting. The other work takes most of it.",
        },
    },
    "08.queue": {
        "one_cgroup": {
            "root": "All come to the root, but they come to the leaf first. There they queue, and leave it one by one.",
            "middle": "The CPUs come to the middle one by one, as the leaf lets them through. Few wait there.",
        },
        "one_each": {
            "leaf": "A leaf of one's own is a line that nobody else takes. It is always here, and nobody waits for it.",
            "middle": "The levels between belong to one CPU each, too. All CPUs meet for the first time at the root.",
        },
    },
    "08.depth": {
        "before": {
            78: "78 is two counters against nine. The CPUs have other work, and wait at `memory_allocated` as well.",
            0: "0 says that one line sets the pace. With 32 CPUs none is full yet, and each line takes its way.",
            88: "88 is one level against eight, as if nothing but counters took time.",
        },
        "after": {
            15: (
                "15 is before the patch. After it the stock serves this traffic: only the first charge of a CPU "
                "climbs the tree."
            ),
            78: "78 is two counters against nine. In this traffic only the first charge of a CPU meets any of them.",
            10: "10 gives the patch too little: one charge and one uncharge in turn never fill or empty the stock.",
        },
    },
    "08.batch": {
        "from_1_to_32": {
            32: "32 says: as many times fewer visits, as many times more done. The other work becomes the limit.",
            1: "1 says that the line was free. With 64 CPUs and each operation on it, it was nearly full.",
            16: "16 is half of 32, as if one way stayed as it was. The limit is the other work of the CPUs.",
        },
        "from_32_to_64": {
            2: (
                "2 says that twice the batch is twice as good. With 32 the line is nearly free; nothing is left to "
                "gain."
            ),
            1.5: "1.5 expects some gain. With 32 nobody waits any more, so a larger batch only adds drift.",
            2.43: "2.43 is from 1 to 32. The gain lay there, and it was all of it.",
        },
    },
    "09.netperf": {
        "batch_64": {
            10483: (
                "10,483 is with the batch of 32. Twice the batch halves the trips to the counters, and the wait for "
                "them."
            ),
            20965: "20,965 is twice as much. Half the trips are not half the time: something else is done as well.",
            21695: "21,695 is the root, without any counter. Batches make trips rarer, not free.",
            12414: "12,414 is the other layout, with the batch of 32.",
            14543: "14,543 is with fewer atomics, and the batch of 32.",
        }
    },
    "10.conserved": {
        "each_stock": {
            0: "0 says: all is given back. It is given back into the stock, and 32 pages may stay there.",
            31: "31 is what a charge leaves. The page comes back on top of it.",
            1: "1 is the page that came back. It lies on top of the 31 that the charge had left.",
            33: "With 33 pages the stock would be drained. 32 may stay.",
        },
        "off_by": {
            64: "64 is what the two stocks hold. That is counted, and so the counter is right.",
            32: "32 is what one stock holds. Those pages are charged, so the counter is not off.",
            1: "An atomic loses nothing, however many run at once.",
        },
    },
    "10.torn": {
        "lost": {
            "no": (
                "It looks like one addition. But the other thread writes between the read and the write, and is undone."
            )
        }
    },
    "10.two": {
        "ns": {
            5.4: "5.4 is alone. With two the line has to come from the other core again and again.",
            10.8: "10.8 is two atomics, one after the other. The line's way is forgotten.",
            30.5: (
                "30.5 is a way for every addition. But a core adds several times before the line is taken away again."
            ),
            36: "36 is a way and an atomic. A core adds several times before the line is taken away again.",
            61: "61 is there and back. A core adds several times before the line is taken away again.",
        }
    },
    "10.pair": {
        "ns": {
            200: "200 is thinking alone. The four lines have to come over.",
            222: (
                "222 counts 4 atomics of 5.4 ns as if alone. The lines are with the other thread and have to come over."
            ),
            444: "444 lets charging fetch the four lines as well. Charging does so only once for 32 pages.",
            672: "672 lets each thread wait for a whole pair of the other. While one thinks, the other has the lines.",
        }
    },
    "11.left": {
        "request_response": {
            8202: "8,202 is every call: that is without the patch. With it most go no farther than the stock.",
            249: (
                "249 is one call in 33. Request and answer take each other's pages out of the stock, so it rarely "
                "fills."
            ),
            0: (
                "0 forgets who else goes to the counters: processes end, pages are freed. Of the nine hardly any is "
                "a socket's."
            ),
            4101: "4,101 is every second call. Here the stock serves nearly all.",
        },
        "bulk": {
            2200: "2,200 is every call: that is without the patch.",
            67: "67 is one call in 33, as for single pages. In bulk a call brings many pages, and they drain sooner.",
            0: "0 would need pages that are charged again where they come back. In bulk another CPU charges.",
            9: "9 is request-response. In bulk the pages come back on a CPU that does not charge.",
        },
    },
    "11.wrong": {
        "batch_64": {
            39: "39 is one in a hundred. Near is not enough: the rules say each event to the page, or they are wrong.",
            388: "388 is one in ten, as for a model. These are not a model: they are the rules that run in the kernel.",
            61: "61 is one in 64. A rule is not wrong now and then; given the first state it holds to the end.",
        },
        "batch_63": {
            0: "0 says that a page hardly matters. Each charge of a batch shows its size, so each one is wrong.",
            61: "61 is one in 64. What is wrong by a page shifts what follows, and each batch is wrong by itself.",
            3878: (
                "3,878 is every event. After a mistake the rules are set right, and most go on right until a batch "
                "shows again."
            ),
        },
    },
    "11.what_if": {
        "before": {
            3400: "3,400 is the recorded rule. Before the patch each call that gave back went to the counters.",
            6800: "6,800 is twice as many, for half the batch. Before the patch giving back had no batch at all.",
            218000: (
                "218,000 is 64 times as many. Most calls here give back many pages at once, and charging had a batch."
            ),
        },
        "after": {
            3400: "3,400 is with a batch of 64. Half the batch is used up, and drained, about twice as often.",
            10620: "10,620 is before the patch. After it what is given back goes into the stock first.",
            1700: "1,700 is the wrong way. A smaller batch makes trips more frequent.",
        },
    },
    "13.half": {
        "atomics": {
            38: "38 is what v4.14 takes: a drain for 33 pages. This rule keeps 16, so the next drain comes sooner.",
            56: "56 is a drain for every 16 pages, 18 of them. 32 may stay: from 16 kept, the 17th page drains.",
            76: "76 is twice what v4.14 takes. Only giving back is dearer; charging takes its ten batches as before.",
            620: "620 is before the patch, where each page goes back alone. Half of a stock leaves at a time here.",
            20: "20 is charging alone, ten batches at two counters. What comes back has to leave the stock too.",
        },
    },
}


def met(question, name, said, near):
    """The sentence for a guess, or None.

    Parameters
    ----------
    question, name : str
    said : number or str
        What the reader said.
    near : callable
        ``near(said, guess)`` says whether two numbers count as the same here.

    Returns
    -------
    str or None
        That of the nearest listed guess that counts as the same.

    Examples
    --------
    >>> met("03.trips", "trips", 3, near=lambda one, other: one == other)
    '3 is 100 / 32, rounded down. The last four pages need a trip too.'
    """
    listed = GUESSES.get(question, {}).get(name, {})
    if isinstance(said, str):
        return listed.get(said)
    same = [guess for guess in listed if not isinstance(guess, str) and near(said, guess)]
    return listed[min(same, key=lambda guess: abs(guess - said))] if same else None
